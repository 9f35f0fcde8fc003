"""The plan: which runs go and which do not, frozen. Canonical JSON, named by its digest. No I/O.

A plan holds real ids, because it must: it is personal data itself, is written with mode 0600, and `erase
close` destroys it. What leaves the case (journal, certificate, report) names runs by keyed hashes instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from wbgql.erasure.records.canonical import digest
from wbgql.erasure.records.plan_reading import find_nonsense
from wbgql.errors import NotApproved, PlanChanged, UsageError
from wbgql.paths import ProjectPath, RunPath
from wbgql.scalars import parse_datetime
from wbgql.settings import is_same_server

ClockName = Literal["undelete_window", "run_retention", "artifact_collection", "backups"]
ClockSource = Literal["server", "declared", "unknown"]
Decision = Literal["erase", "keep", "unlink", "manual"]
Reason = Literal[
    "exclusive",  # logged by this run alone, nobody else uses it: goes
    "used_elsewhere",  # another run uses it
    "logged_elsewhere",  # another run logged the same version
    "linked",  # linked into a portfolio or a registry
    "aliased",  # carries an alias that somebody gave it
    "protected",  # carries a protected alias: nobody can delete it
    "system",  # the server's own (`wandb-history`): nobody outside can delete it
    "held",  # under a hold
    "already_deleted",
    "not_decidable",  # the server does not say enough: kept
]
Exclusion = Literal["held", "denied", "logging", "not_matching", "read_only"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Tool(_Part, frozen=True, kw_only=True):
    """What made the plan. `sdl` is the digest of the SDL that its operations were validated against."""

    name: str
    version: str
    sdl: str


class Server(_Part, frozen=True, kw_only=True):
    """The server it was made against. `is_test`: the local one, so that nothing it proves is about W&B.

    `profile`: digest of what `erase probe` found out there, if that was done.
    """

    base_url: str
    deployment: str | None
    version: str | None
    is_test: bool
    profile: str | None = None


class Request(_Part, frozen=True, kw_only=True):
    """Why: a reference such as a ticket, never a name; the legal basis; when it came and is due."""

    reference: str
    basis: str
    received_at: str | None = None
    due_at: str | None = None


class Rule(_Part, frozen=True, kw_only=True):
    """Which runs were meant. `where`: the expression with `ago()` frozen to an instant, None for ids.

    `filters` is the JSON the server was sent, `scopes` what was named (`acme/*`).
    """

    scopes: list[str]
    where: str | None
    filters: str | None
    ids: int | None = None
    entire_project: bool = False


class Planner(_Part, frozen=True, kw_only=True):
    """Who planned: the login name, and the key with `--key`, which then cannot approve."""

    username: str
    key_id: str | None = None


class Rights(_Part, frozen=True, kw_only=True):
    """The role the plan was made under, in one entity. None: the server does not say."""

    entity: str
    username: str
    role: str | None


class Project(_Part, frozen=True, kw_only=True):
    """One project that was read. `runs` in all, `matched` by the rule, `planned` to go."""

    path: str
    runs: int
    matched: int
    planned: int


class NotRead(_Part, frozen=True, kw_only=True):
    """What was named and could not be read: nothing is claimed of it."""

    path: str
    reason: str


class Caps(_Part, frozen=True, kw_only=True):
    """How much may go at most; both must hold. `max_percent` is of each project's runs."""

    max_runs: int
    max_percent: int


class Approvers(_Part, frozen=True, kw_only=True):
    """Who may approve: the digest of the approvers file, and how many must."""

    digest: str
    required: int


class Clock(_Part, frozen=True, kw_only=True):
    """One clock. `seconds` is None where nobody knows. Declared: by which role, and when."""

    name: ClockName
    seconds: int | None
    source: ClockSource
    declared_by: str | None = None
    declared_at: str | None = None


class PlannedArtifact(_Part, frozen=True, kw_only=True):
    """One artifact version that a planned run logged, with what will become of it and why.

    `position`: the order of deletion among all versions of the plan, dependents first; 0 for what stays.
    `fingerprint` is over state, digest, aliases, links and uses, compared again before it is deleted; empty
    for what stays. A version that several planned runs logged stands with one of them. `with_runs`: indexes
    in `Plan.runs` of the others that logged or use it: it goes only once these are hidden as well. `users`:
    storage ids of planned runs that use it, `links`: ids of collections it is to be unlinked from first
    (decision "unlink"); neither counts as a change.
    """

    id: str
    name: str
    type: str
    digest: str
    size_bytes: int
    decision: Decision
    reason: Reason
    position: int = 0
    fingerprint: str
    aliases: list[str] = []
    users: list[str] = []
    with_runs: list[int] = []
    links: list[str] = []
    references: int | None = 0

    @property
    def goes(self) -> bool:
        """Whether it is deleted in the end."""
        return self.decision in ("erase", "unlink")


class PlannedFile(_Part, frozen=True, kw_only=True):
    """One file of a run, by its storage id; only in plans made with `--files`."""

    id: str
    name: str
    size_bytes: int


def total_references(artifacts: Iterable[PlannedArtifact]) -> int | None:
    """How many files of versions lie outside the server; None if it did not say that of one of them."""
    counts = [artifact.references for artifact in artifacts]
    return None if None in counts else sum(count for count in counts if count is not None)


class PlannedRun(_Part, frozen=True, kw_only=True):
    """One run that goes. `fingerprint` is over what changes when somebody works on it.

    `forks`: paths of runs that were forked from it and stay. `risks`: `logging` (a process is still at work
    on it), `forked` (see `forks`), `fork` (its history began in another run that stays), `rewound` (what was
    cut off may be kept by the server), `rights_unknown` (only the server knows whether it may be deleted).
    """

    entity: str
    project: str
    id: str
    storage_id: str
    created_at: str
    owner: str | None
    state: str | None
    fingerprint: str
    history_lines: int | None
    file_count: int | None
    size_bytes: int | None
    artifacts: list[PlannedArtifact] = []
    files: list[PlannedFile] = []
    forks: list[str] = []
    risks: list[str] = []

    @property
    def path(self) -> RunPath:
        """Where the run is."""
        return RunPath(self.entity, self.project, self.id)


class ExcludedRun(_Part, frozen=True, kw_only=True):
    """One run that matched and stays, with the reason."""

    path: str
    reason: Exclusion
    detail: str


class Totals(_Part, frozen=True, kw_only=True):
    """Sums over the plan. Bytes are the server's own figures, supporting evidence only."""

    matched: int
    planned: int
    excluded: int
    artifacts_erased: int
    artifacts_kept: int
    files: int
    run_bytes: int
    artifact_bytes: int


class Plan(_Part, frozen=True, kw_only=True):
    """Everything an approver signs. Two plans of the same content have the same digest."""

    schema: Literal["wbgql-erasure-plan/1"] = "wbgql-erasure-plan/1"
    plan_id: str
    created_at: str
    expires_at: str
    tool: Tool
    server: Server
    request: Request
    rule: Rule
    planner: Planner
    rights: list[Rights]
    projects: list[Project]
    not_read: list[NotRead]
    caps: Caps
    canaries: list[str]
    approvers: Approvers | None
    clocks: list[Clock]
    holds: str  # digest of the register as it was read
    case_key_id: str
    runs: list[PlannedRun]
    excluded: list[ExcludedRun]
    totals: Totals
    stays: list[str]  # what this plan does not remove, in words

    @property
    def digest(self) -> str:
        """`sha256:...` over the canonical bytes: what is approved, and what `apply` is given."""
        return digest(self)

    @property
    def project_paths(self) -> list[ProjectPath]:
        """The projects that planned runs are in, in order."""
        return list(dict.fromkeys(run.path.project_path for run in self.runs))

    def clock(self, name: ClockName) -> Clock:
        """One of the four clocks; unknown where the plan has none of the name."""
        found = (clock for clock in self.clocks if clock.name == name)
        return next(found, Clock(name=name, seconds=None, source="unknown"))

    def check_digest(self, expected: str) -> None:
        """Raise `PlanChanged` if this is not the plan that `expected` names.

        Raises:
            PlanChanged: it is another, or was changed.
        """
        if self.digest != expected:
            raise PlanChanged(
                f"the plan's digest is {self.digest}, not {expected}: it was changed after it was named, "
                "or it is another plan; nothing was done"
            )

    def check_totals(self) -> None:
        """Raise `PlanChanged` if the totals, which approvers read, are not those of the plan's runs."""
        if self.totals != make_totals(self.runs, self.excluded):
            raise PlanChanged("the plan's totals are not those of its runs: it was edited; nothing was done")

    def check_address(self, base_url: str, origin: str = "the caller") -> None:
        """Raise `NotApproved` if this address leads to another server than the plan's.

        `origin`: who named it. W&B's cloud has two hosts; the SDK's default changed from one to the other.

        Raises:
            NotApproved: it is another.
        """
        reached, planned = base_url.rstrip("/"), self.server.base_url.rstrip("/")
        if not is_same_server(reached, planned):
            raise NotApproved(
                f"the plan was made against {planned!r}, but this would reach {reached!r} (base_url from "
                f"{origin}); nothing was done"
            )

    def check_fresh(self, now: datetime) -> None:
        """Raise `PlanChanged` if the plan has expired.

        Raises:
            PlanChanged: it has.
        """
        if now >= parse_datetime(self.expires_at):
            raise PlanChanged(f"the plan expired at {self.expires_at}: make a new one; nothing was done")


def make_totals(runs: Sequence[PlannedRun], excluded: Sequence[ExcludedRun]) -> Totals:
    """Sum up a plan. `excluded` but not matching does not count as matched."""
    artifacts = [artifact for run in runs for artifact in run.artifacts]
    going = [artifact for artifact in artifacts if artifact.goes]
    return Totals(
        matched=len(runs) + sum(run.reason != "not_matching" for run in excluded),
        planned=len(runs),
        excluded=len(excluded),
        artifacts_erased=len(going),
        artifacts_kept=len(artifacts) - len(going),
        files=sum(len(run.files) for run in runs),
        run_bytes=sum(run.size_bytes or 0 for run in runs),
        artifact_bytes=sum(artifact.size_bytes for artifact in going),
    )


_DECODER = msgspec.json.Decoder(Plan)


def parse_plan(content: bytes) -> Plan:
    """Read a plan as `encode` wrote it.

    Raises:
        UsageError: not a plan, or one that cannot be meant; the message says where and quotes nothing.
    """
    try:
        plan = _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"not a plan of this version: {error}") from error
    nonsense = find_nonsense(plan)
    if nonsense is not None:
        raise UsageError(f"not a plan that can be meant: {nonsense}")
    return plan
