"""How much may go at most, and what stands for "never these". No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from wbgql.erasure.records.plan import Caps, Project
from wbgql.errors import CapExceeded, UsageError
from wbgql.paths import RunPath, parse_listed_run

DEFAULT_CAPS = Caps(max_runs=100, max_percent=10)
_TAG = "tag:"
_NAMED_AT_MOST = 5


def percent_cap(runs: int, max_percent: int) -> int:
    """How many runs of a project of `runs` may go: the percentage, rounded down, but one run always."""
    return max(1, runs * max_percent // 100)


def check_caps(projects: Iterable[Project], caps: Caps, entire: Collection[str]) -> None:
    """Raise `CapExceeded` if more would go than one of the caps allows.

    Projects among `entire` were named to go as a whole: the percentage does not bind them, the count does.

    Raises:
        CapExceeded: says of each cap that does not hold what it is and what would go.
    """
    found = list(projects)
    total = sum(project.planned for project in found)
    broken = [f"{total} runs would go, at most {caps.max_runs} may (--max-runs)"] * (total > caps.max_runs)
    for project in found:
        cap = percent_cap(project.runs, caps.max_percent)
        if project.path not in entire and project.planned > cap:
            broken.append(
                f"{project.planned} of {project.runs} runs of {project.path!r} would go, at most "
                f"{cap} may (--max-percent {caps.max_percent})"
            )
    if broken:
        raise CapExceeded(f"{_some(broken)}; look at what matches, then raise the cap; no plan was made")


def whole_projects(projects: Iterable[Project], entire: Collection[str]) -> list[Project]:
    """Those projects of which every run matched, and that were not named to go as a whole."""
    return [
        project for project in projects if 0 < project.runs <= project.matched and project.path not in entire
    ]


def refuse_whole(projects: Sequence[Project]) -> None:
    """Refuse to take all runs of a project that was not named to go as a whole.

    Raises:
        CapExceeded: there is one.
    """
    if projects:
        named = _some([f"all {project.runs} runs of {project.path!r}" for project in projects])
        raise CapExceeded(
            f"the rule matches {named}: if that is meant, say --entire-project {projects[0].path}; "
            "no plan was made"
        )


@dataclass(frozen=True, slots=True)
class Canaries:
    """What must never be matched: runs by their paths, and any run that carries a tag."""

    runs: frozenset[RunPath]
    tags: frozenset[str]

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Canaries:
        """Read `entity/project/run` and `tag:NAME`.

        Raises:
            UsageError: neither.
        """
        runs, tags = set(), set()
        for text in texts:
            if not text.startswith(_TAG):
                runs.add(_run(text))
            elif tag := text.removeprefix(_TAG).strip():
                tags.add(tag)
            else:
                raise UsageError("a canary by tag needs the tag: tag:NAME")
        return cls(frozenset(runs), frozenset(tags))

    @property
    def texts(self) -> list[str]:
        """All of them as they are written, in order."""
        return sorted([*map(str, self.runs), *(f"{_TAG}{tag}" for tag in self.tags)])

    def check(self, runs: Iterable[tuple[RunPath, Collection[str]]]) -> None:
        """Raise `CapExceeded` if one of the runs, given with their tags, is a canary.

        Raises:
            CapExceeded: one is; the rule means more than it should.
        """
        hits = [path for path, tags in runs if path in self.runs or not self.tags.isdisjoint(tags)]
        if hits:
            raise CapExceeded(
                f"the rule matches {len(hits)} runs that must never go ({_some(list(map(str, hits)))}): it "
                "means more than it should; no plan was made"
            )


def _run(text: str) -> RunPath:
    try:
        return parse_listed_run(text)
    except UsageError as error:
        raise UsageError(f"a canary is entity/project/run or tag:NAME, not {text!r}") from error


def _some(texts: list[str]) -> str:
    more = len(texts) - _NAMED_AT_MOST
    return ", ".join(texts[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
