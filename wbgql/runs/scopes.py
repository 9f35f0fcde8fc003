"""Which projects a selection is over: one, several, or all of an entity that this key can see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from wbgql.cautions import warn
from wbgql.errors import CoverageWarning, NotFound, PermissionDenied, UsageError
from wbgql.paths import ProjectPath
from wbgql.projects import iter_projects
from wbgql.wire.session import Session

# What a selection has read, and what it was asked for but could not see.


@dataclass(frozen=True, slots=True)
class ProjectCoverage:
    """One project that was read. `runs`: how many it gave; `complete`: it was read to its end."""

    project: ProjectPath
    runs: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that was not read, or not to its end, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the latest use of a selection read. `unread` is empty if nothing was missing."""

    projects: tuple[ProjectCoverage, ...] = ()
    unread: tuple[Unread, ...] = ()

    @property
    def runs(self) -> int:
        """How many runs were given."""
        return sum(project.runs for project in self.projects)

    @property
    def complete(self) -> bool:
        """Whether all that was asked for was seen, to the end."""
        return not self.unread and all(project.complete for project in self.projects)


class Tally:
    """Keeps the count while a selection is read."""

    def __init__(self) -> None:
        self._runs: dict[ProjectPath, int] = {}
        self._complete: set[ProjectPath] = set()
        self._unread: list[Unread] = []

    def begin(self, project: ProjectPath) -> None:
        """A project is visible and about to give runs."""
        self._runs.setdefault(project, 0)

    def add(self, project: ProjectPath, runs: int) -> None:
        """So many more runs of a project were given."""
        self._runs[project] = self._runs.get(project, 0) + runs

    def finish(self, project: ProjectPath) -> None:
        """A project was read to its end."""
        self._complete.add(project)

    def miss(self, path: object, reason: str) -> None:
        """Note what was not read, and warn of it."""
        self._unread.append(Unread(str(path), reason))
        warn(CoverageWarning(f"{str(path)!r} is missing here: {reason}"))

    def coverage(self) -> Coverage:
        """What was read so far."""
        read = [ProjectCoverage(path, runs, path in self._complete) for path, runs in self._runs.items()]
        return Coverage(tuple(read), tuple(self._unread))


@dataclass(frozen=True, slots=True)
class ProjectPattern:
    """The projects of an entity whose names match `pattern`, in which `*` stands for any text."""

    entity: str
    pattern: str = "*"

    def __str__(self) -> str:
        return f"{self.entity}/{self.pattern}"


ProjectScope = ProjectPath | ProjectPattern


@dataclass(frozen=True, slots=True)
class Scope:
    """What was named, in the order given."""

    parts: tuple[ProjectScope, ...]

    @classmethod
    def of(cls, given: ProjectScope | Iterable[ProjectScope]) -> Scope:
        """Make a scope of one part or several.

        Raises:
            UsageError: none at all.
        """
        parts = (given,) if isinstance(given, (ProjectPath, ProjectPattern)) else tuple(given)
        if not parts:
            raise UsageError("name a project: an empty list of paths selects nothing")
        return cls(tuple(dict.fromkeys(parts)))

    @property
    def single(self) -> ProjectPath | None:
        """The project, where one alone is named in full."""
        return self.parts[0] if len(self.parts) == 1 and isinstance(self.parts[0], ProjectPath) else None

    def projects(self, session: Session, tally: Tally) -> Iterator[ProjectPath]:
        """Yield each project once; a pattern costs one request for 200 projects of its entity.

        Raises:
            NotFound: a pattern, and nothing else, names an entity that is not visible.
        """
        seen: set[ProjectPath] = set()
        for part in self.parts:
            for project in self._resolve(part, session, tally):
                if project not in seen:
                    seen.add(project)
                    yield project

    def _resolve(self, part: ProjectScope, session: Session, tally: Tally) -> Iterator[ProjectPath]:
        if isinstance(part, ProjectPath):
            yield part
            return
        found = False
        try:
            for project in iter_projects(session, part.entity):
                if fnmatchcase(project.name, part.pattern.replace("[", "[[]").replace("?", "[?]")):
                    found = True
                    yield ProjectPath(project.entity_name, project.name)
        except (NotFound, PermissionDenied) as error:
            if len(self.parts) == 1:
                raise
            tally.miss(part, str(error))
            return
        if not found:
            tally.miss(part, "no project that this key can see matches")

    def __str__(self) -> str:
        return ", ".join(map(str, self.parts))
