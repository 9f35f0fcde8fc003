"""Who else has a part in what goes: runs that were forked from planned ones, and runs that logged the same.

Neither is asked of a run or a version; they are found by looking at every run of the project once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from wbgql.cautions import warn
from wbgql.documents import NOT_FETCHED, NamedObject, NamedProject, Operation, Result
from wbgql.erasure.reading.facts import Id, refuse_half
from wbgql.errors import (
    CoverageWarning,
    NotFound,
    RequestError,
    ResponseError,
    SchemaMismatch,
    ServerUnavailable,
    UnstablePopulation,
)
from wbgql.frames.decoding import dig
from wbgql.paths import ProjectPath, RunPath
from wbgql.progress import Progress
from wbgql.scalars import dump_json, format_datetime, parse_datetime, parse_json
from wbgql.wire.connection import Connection, iter_nodes
from wbgql.wire.session import Session

_RUNS_PER_PAGE = 500
_OUTPUTS = 20
_MORE = 1000
_READINGS = 2
_MAX_BARREN_PAGES = 10


class _Name(Result, frozen=True):
    name: str


class _BranchPoint(Result, frozen=True):
    run: _Name


class _Run(Result, frozen=True):
    id: str
    name: str
    created_at: str
    wandb_config: str | None
    branch_point: _BranchPoint | None = NOT_FETCHED
    outputs: Connection[Id] | None = NOT_FETCHED


class _Runs(NamedProject, frozen=True, kw_only=True):
    runs: Connection[_Run] | None


class _ListSurroundings(Result, frozen=True):
    project: _Runs | None


class _Outputs(NamedObject, frozen=True, kw_only=True):
    outputs: Connection[Id] | None


class _OutputsOfRun(NamedProject, frozen=True, kw_only=True):
    run: _Outputs | None


class _ListOutputIds(Result, frozen=True):
    project: _OutputsOfRun | None


class _Aliases(Result, frozen=True):
    protected_aliases: list[str]


class _GetProtectedAliases(Result, frozen=True):
    entity: _Aliases | None


LIST_SURROUNDINGS = Operation("ListSurroundings", _ListSurroundings, paged=True, names="refuse")
LIST_OUTPUT_IDS = Operation("ListOutputIds", _ListOutputIds, paged=True, names="refuse")
GET_PROTECTED_ALIASES = Operation("GetProtectedAliases", _GetProtectedAliases)
OPERATIONS: tuple[Operation[Any], ...] = (LIST_SURROUNDINGS, LIST_OUTPUT_IDS, GET_PROTECTED_ALIASES)


@dataclass(slots=True)
class Surroundings:
    """What was found in one project.

    `forks`: by id of a planned run, the paths of those forked from it, or from a fork of it. `sources`: by
    id of a planned run, the id of the run it was forked from, or its own where it was rewound. `originals`:
    by id of a planned run that was rewound, the run that keeps what was cut off, where the server names it;
    that one is not planned. `loggers`: by
    id of a version, storage ids of the runs that logged it, planned or not. `loggers_known`: false if a run
    that stays logged versions that came as null, since each may be one of those.
    """

    forks: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    sources: dict[str, str] = field(default_factory=dict)
    originals: dict[str, str] = field(default_factory=dict)
    loggers: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    loggers_known: bool = True


def read_surroundings(
    session: Session,
    path: ProjectPath,
    planned: Collection[str],
    versions: Collection[str],
    progress: Progress,
) -> Surroundings:
    """Look at every run of a project. `planned` are run ids, `versions` those that may go.

    One request for 500 runs, and one more for each 1000 versions of a run beyond the first 20. Where runs
    come and go meanwhile, everything is read once more.

    Raises:
        UnstablePopulation: they came and went the second time too.
        NotFound: the project is missing or not visible.
    """
    for _ in range(_READINGS):
        reading = _Reading(session, path, planned, versions)
        if reading.read(progress):
            return reading.found
    raise UnstablePopulation(
        f"runs of {str(path)!r} come and go while it is read, so that some may have been missed: plan again "
        "at a quiet time"
    )


def read_protected_aliases(session: Session, entity: str) -> frozenset[str] | None:
    """Aliases that are protected in an entity: none if the server's schema has none. One request.

    None: the server refuses to say, or does not show the entity, so that any alias may be protected.

    Raises:
        RequestError: the server does not answer.
    """
    try:
        found = session.execute(GET_PROTECTED_ALIASES, entity=entity).entity
    except SchemaMismatch:
        return frozenset()
    except RequestError as error:
        if error.retryable or isinstance(error, ServerUnavailable):
            raise
        return None
    return frozenset(found.protected_aliases) if found else None


class _Reading:
    """One pass over the runs of a project."""

    def __init__(
        self, session: Session, path: ProjectPath, planned: Collection[str], versions: Collection[str]
    ) -> None:
        self._session = session
        self._path = path
        self._planned = planned
        self._versions = versions
        self._source_of: dict[str, str] = {}
        self.found = Surroundings()

    def read(self, progress: Progress) -> bool:
        """Read every run, oldest first; whether they were at least as many as the server counted before.

        Each page asks for what was created since the last run seen, so that runs which vanish shift nothing.
        """
        place = _Place()
        page = self._fetch(place)
        total = page.total_count or 0
        while True:
            for run in page.nodes:
                if run.id not in place.seen:
                    self._note(run)
            if not place.move_on(page):
                break
            progress.report(len(place.seen), total)
            page = self._fetch(place)
        self._settle_forks()
        return len(place.seen) >= total

    def _settle_forks(self) -> None:
        for name, source in self._source_of.items():
            if name in self._planned:
                self.found.sources[name] = source
                continue
            for ancestor in _ancestors(name, self._source_of):
                if ancestor in self._planned:
                    fork = RunPath(self._path.entity, self._path.project, name)
                    self.found.forks[ancestor].append(str(fork))

    def _note(self, run: _Run) -> None:
        marked = self._marked(run)
        named = run.branch_point.run.name if isinstance(run.branch_point, _BranchPoint) else None
        if (source := marked or named) is not None:
            self._source_of[run.name] = source
        is_rewound = marked == run.name and run.name in self._planned
        if is_rewound and named is not None and named != run.name and named not in self._planned:
            self.found.originals[run.name] = str(RunPath(self._path.entity, self._path.project, named))
        for version in self._outputs(run):
            if version in self._versions:
                self.found.loggers[version].append(run.id)

    def _marked(self, run: _Run) -> str | None:
        try:
            return _branch_point(run.wandb_config)
        except ValueError:
            path = RunPath(self._path.entity, self._path.project, run.name)
            warn(
                f"run {str(path)!r}: its wandbConfig is not JSON, so whether it was forked or rewound is not "
                "known",
                CoverageWarning,
            )
            return None

    def _outputs(self, run: _Run) -> list[str]:
        start = run.outputs
        if start is NOT_FETCHED:
            return []
        if start is None:
            self._note_hidden(run)
            return []

        def fetch(first: int, after: str | None) -> Connection[Id]:
            if after is None:
                return start
            project = self._session.execute(
                LIST_OUTPUT_IDS, **self._names, run=run.name, first=first, after=after
            ).project
            if project is None or project.run is None or project.run.outputs is None:
                raise UnstablePopulation(
                    f"a run of {str(self._path)!r} vanished while it was read: plan again"
                )
            return project.run.outputs

        found = iter_nodes(
            fetch,
            changes=self._session.changes,
            page_size=_MORE,
            key=lambda version: version.id,
            counted=True,
            on_warning=refuse_half,
            on_hidden=lambda _hidden: self._note_hidden(run),
        )
        return [version.id for version in found]

    def _note_hidden(self, run: _Run) -> None:
        """Where a run that stays logged what is hidden, any version may be its work too."""
        if run.name not in self._planned:
            self.found.loggers_known = False

    def _fetch(self, place: _Place) -> Connection[_Run]:
        project = self._session.execute(
            LIST_SURROUNDINGS,
            **self._names,
            filters=dump_json({"createdAt": {"$gte": place.since}} if place.since else {}),
            outputs=_OUTPUTS,
            withOutputs=bool(self._versions),
            first=_RUNS_PER_PAGE,
            after=place.after,
        ).project
        if project is None or project.runs is None:
            raise NotFound.project(self._path, operation=LIST_SURROUNDINGS.name)
        if len(project.runs.nodes) < len(project.runs.edges):
            raise ResponseError(
                f"runs of {str(self._path)!r} came as null: what they logged is not known, so nothing can be "
                "decided over what others logged too",
                operation=LIST_SURROUNDINGS.name,
            )
        return project.runs

    @property
    def _names(self) -> Mapping[str, str]:
        return {"entity": self._path.entity, "project": self._path.project}


@dataclass(slots=True)
class _Place:
    """Where the next page begins. By offset only among runs of one instant, more than a page of them."""

    since: str | None = None
    after: str | None = None
    seen: set[str] = field(default_factory=set)
    barren: int = 0

    def move_on(self, page: Connection[_Run]) -> bool:
        """Go behind a page; False where there is no more.

        Raises:
            ResponseError: page after page promises more and brings nothing new.
        """
        nodes = page.nodes
        fresh = {run.id for run in nodes} - self.seen
        self.seen |= fresh
        if not page.page_info.has_next_page:
            return False
        self.barren = 0 if fresh else self.barren + 1
        if self.barren == _MAX_BARREN_PAGES or not nodes:
            refuse_half("the server promises more runs and brings none that are new")
        last = format_datetime(parse_datetime(nodes[-1].created_at))
        stays = last == self.since or nodes[0].created_at == nodes[-1].created_at
        self.after = page.page_info.end_cursor if stays else None
        if stays and self.after is None:
            refuse_half("the server promises more runs of one instant and gives no cursor to them")
        self.since = self.since if stays else last
        return True


def _ancestors(name: str, source_of: Mapping[str, str]) -> list[str]:
    """The runs that a run's history began in, nearest first: a fork of a fork has both."""
    found: dict[str, None] = {}
    while (source := source_of.get(name)) is not None and source not in found and source != name:
        found[source] = None
        name = source
    return list(found)


def _branch_point(config: str | None) -> str | None:
    """The id of the run that a run was forked from, or rewound to.

    Source: wandb SDK 0.31.0 `sdk/wandb_init.py`: `_wandb.branch_point` of the config, `run_id` and `step`,
    for `fork_from` and `resume_from` alike (2026-11).
    """
    found = dig(parse_json(config), ("branch_point", "run_id")) if config else None
    return found if isinstance(found, str) else None
