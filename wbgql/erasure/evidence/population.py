"""The population: one item for each run, artifact version and file of a case, with what became of it. No I/O.

Items name things by keyed hashes and say everything else in codes and times, so that a table of them can be
handed to an auditor, who can draw samples from it, and opened in a spreadsheet, which finds no formula in it.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from wbgql.erasure.records.actions import GONE, Action, subject_of, without_parts
from wbgql.erasure.records.canonical import encode
from wbgql.erasure.records.merkle import merkle_root
from wbgql.erasure.records.plan import Plan, PlannedArtifact, PlannedFile, PlannedRun
from wbgql.erasure.records.subjects import CaseKey
from wbgql.errors import NotVerified
from wbgql.paths import RunPath

ItemKind = Literal["run", "artifact", "file"]
ITEM_KINDS: tuple[ItemKind, ...] = ("run", "artifact", "file")
ItemOutcome = Literal[
    "open",
    "excluded",
    "hidden",
    "erased_by_other",
    "deleted",
    "gone_before",
    "gone_after_attempt",
    "kept",
    "held",
    "denied",
    "changed",
    "moved",
    "not_visible",
    "failed",
    "skipped",
]
Proof = Literal[
    "not_claimed",  # nothing is claimed of it, so nothing was to be proved
    "not_verified",  # no verification since
    "absent",  # the last verification read it as absent
    "absent_in_store",  # and a look at the store found nothing of it
    "visible",
    "unsettled",
    "unknown",
    "missing",
    "stored",
    "not_looked_at",  # nobody asked for it since; of a file, the server's word is all there is
]

_IS_CODE = re.compile(r"^[a-z][a-z0-9_]{0,63}\Z")
_Code = Annotated[str, msgspec.Meta(pattern=_IS_CODE.pattern)]
_Subject = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Time = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}Z\Z")]
_Count = Annotated[int, msgspec.Meta(ge=0)]

COLUMNS = ("no", "kind", "run", "project", "subject", "outcome", "reason", "at", "proof")


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing of the case. `no` counts items from 1, `run` the runs of the plan, `project` its projects.

    `run` is 0 for a run that matched and was left out, `project` 0 where the scope does not list it.
    `reason`: a code, why it was kept, left out or not done. `at`: when its outcome was recorded.
    """

    no: Annotated[int, msgspec.Meta(ge=1)]
    kind: ItemKind
    run: _Count
    project: _Count
    subject: _Subject
    outcome: ItemOutcome
    reason: _Code | None
    at: _Time | None
    proof: Proof

    @property
    def is_claimed(self) -> bool:
        """Whether it is said to be gone."""
        return self.outcome in GONE


class Proved(msgspec.Struct, frozen=True, kw_only=True):
    """What verifications say of claimed things.

    `findings` by subject; `read`: a verification by reads was made; `asked`: the kinds of which it asked for
    everything that was claimed; `in_store`: a look at the store was made, which knows no files.
    """

    read: bool = False
    asked: Collection[ItemKind] = ()
    in_store: bool = False
    findings: Mapping[str, Proof] = {}

    def of(self, kind: ItemKind, subject: str) -> Proof:
        """What was proved of one claimed thing. Only an answer makes it more than not looked at."""
        if subject in self.findings:
            return self.findings[subject]
        if not self.read:
            return "not_verified"
        if kind not in self.asked:
            return "not_looked_at"
        return "absent_in_store" if self.in_store and kind != "file" else "absent"


class Counts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The population in numbers, each by outcome; `excluded` and `kept` by reason."""

    matched: int
    planned: int
    runs: dict[str, int]
    artifacts: dict[str, int]
    files: dict[str, int]
    excluded: dict[str, int]
    kept: dict[str, int]

    @property
    def claimed(self) -> int:
        """Runs that are said to be gone."""
        return sum(count for outcome, count in self.runs.items() if outcome in GONE)

    @property
    def open(self) -> int:
        """Things of which nothing has become yet."""
        return sum(outcomes.get("open", 0) for outcomes in (self.runs, self.artifacts, self.files))


class Namer:
    """Numbers and names the things of one plan: runs by their path, parts by their storage ids."""

    def __init__(self, plan: Plan, key: CaseKey) -> None:
        self._key = key
        self._base_url = plan.server.base_url
        self._projects = {project.path: number for number, project in enumerate(plan.projects, 1)}

    def project(self, path: RunPath) -> int:
        return self._projects.get(str(path.project_path), 0)

    def run(self, path: RunPath) -> str:
        return self._key.run(self._base_url, path)

    def target(self, target: PlannedRun | PlannedArtifact | PlannedFile) -> str:
        return subject_of(target, self._key, self._base_url)


def make_items(plan: Plan, actions: Iterable[Action], key: CaseKey, proved: Proved) -> Iterator[Item]:
    """Yield every item of a case: runs in the plan's order, each with its parts; then what was left out.

    `actions` as they stand, by run and place (`Ledger.latest`); they are held in memory one run at a time.

    Raises:
        NotVerified: the actions are not those of the plan.
    """
    namer = Namer(plan, key)
    for number, row in enumerate(_rows(plan, actions, namer), 1):
        gone = row.outcome in GONE
        yield msgspec.structs.replace(
            row, no=number, proof=proved.of(row.kind, row.subject) if gone else "not_claimed"
        )


def count_items(items: Iterable[Item], *, matched: int) -> Counts:
    """Count a population, of which `matched` runs fitted the rule."""
    counted = Counter((item.kind, item.outcome, item.reason) for item in items)
    kinds: dict[str, Counter[str]] = {"run": Counter(), "artifact": Counter(), "file": Counter()}
    excluded: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    for (kind, outcome, reason), count in counted.items():
        if outcome == "excluded":
            excluded[reason or "unknown"] += count
            continue
        kinds[kind][outcome] += count
        if outcome == "kept":
            kept[reason or "unknown"] += count
    return Counts(
        matched=matched,
        planned=kinds["run"].total(),
        runs=dict(kinds["run"]),
        artifacts=dict(kinds["artifact"]),
        files=dict(kinds["file"]),
        excluded=dict(excluded),
        kept=dict(kept),
    )


def root_of(items: Iterable[Item]) -> str:
    """Return the Merkle root over the canonical bytes of the items. Streams."""
    return merkle_root(encode(item) for item in items)


def to_csv(items: Iterable[Item]) -> Iterator[str]:
    """Yield the lines of `population.csv`, a header first. There is one way to write an item down."""
    yield ",".join(COLUMNS) + "\n"
    for item in items:
        # No cell needs quotes: each is a number, a code, hex or a time, as the types above hold it to.
        cells = (getattr(item, name) for name in COLUMNS)
        yield ",".join("" if cell is None else str(cell) for cell in cells) + "\n"


def from_csv(content: bytes) -> list[Item]:
    """Read `population.csv` as `to_csv` wrote it, to the byte.

    Raises:
        NotVerified: it is anything else; names the first line that does not fit.
    """
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError as error:
        raise NotVerified(f"population.csv: byte {error.start} is not ASCII") from error
    lines = text.splitlines(keepends=True)
    if not lines or lines[0] != ",".join(COLUMNS) + "\n":
        raise NotVerified("population.csv: line 1 is not the header")
    return [_parse_line(line, number) for number, line in enumerate(lines[1:], 1)]


def _parse_line(line: str, number: int) -> Item:
    where = f"population.csv: line {number + 1}"
    try:
        (cells,) = csv.reader(io.StringIO(line))
        row = {name: cell or None for name, cell in zip(COLUMNS, cells, strict=True)}
        item = msgspec.convert(row, Item, strict=False)
    except (ValueError, csv.Error) as error:
        raise NotVerified(f"{where} is not an item") from error
    if item.no != number:
        raise NotVerified(f"{where} is item {item.no}, not {number}: one is missing, doubled or moved")
    if "".join(list(to_csv([item]))[1:]) != line:
        raise NotVerified(f"{where} is not written as an item is")
    return item


def _rows(plan: Plan, actions: Iterable[Action], namer: Namer) -> Iterator[Item]:
    by_run = _grouped(actions)
    for run_no, run in enumerate(plan.runs):
        given = next(by_run, [])
        if not given or given[0].run_no != run_no or given[0].target != without_parts(run):
            raise NotVerified(f"the ledger's actions are not those of the plan, from run no. {run_no + 1} on")
        yield from _run_rows(run, given, namer)
    if next(by_run, None) is not None:
        raise NotVerified("the ledger has actions for runs that the plan does not know")
    yield from _excluded_rows(plan, namer)


def _grouped(actions: Iterable[Action]) -> Iterator[list[Action]]:
    group: list[Action] = []
    for action in actions:
        if group and action.run_no != group[0].run_no:
            yield group
            group = []
        group.append(action)
    if group:
        yield group


def _run_rows(run: PlannedRun, actions: Sequence[Action], namer: Namer) -> Iterator[Item]:
    number, project = actions[0].run_no + 1, namer.project(run.path)
    for action in actions:
        reason = None if action.outcome in GONE else as_code(action.detail)
        yield Item(
            no=1,
            kind=action.kind,
            run=number,
            project=project,
            subject=namer.target(action.target),
            outcome=action.outcome or "open",
            reason=reason,
            at=action.done_at,
            proof="not_claimed",
        )
    acted = {action.target.id for action in actions if isinstance(action.target, PlannedArtifact)}
    for artifact in run.artifacts:
        if artifact.id not in acted:
            yield Item(
                no=1,
                kind="artifact",
                run=number,
                project=project,
                subject=namer.target(artifact),
                outcome="kept",
                reason=artifact.reason,
                at=None,
                proof="not_claimed",
            )


def as_code(detail: str | None) -> str | None:
    """Return a detail as a code; the ledger promises one, and what is none may be a name."""
    return detail if detail is None or _IS_CODE.match(detail) else "other"


def _excluded_rows(plan: Plan, namer: Namer) -> Iterator[Item]:
    for excluded in plan.excluded:
        path = RunPath(*excluded.path.split("/", 2))
        yield Item(
            no=1,
            kind="run",
            run=0,
            project=namer.project(path),
            subject=namer.run(path),
            outcome="excluded",
            reason=excluded.reason,
            at=None,
            proof="not_claimed",
        )
