"""Makes a plan: reads, decides, puts together. Sends queries only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime

from wbgql import __version__
from wbgql.erasure.planning.asking import Ask
from wbgql.erasure.planning.assembling import Findings, make_runs
from wbgql.erasure.planning.caps import Canaries, check_caps, refuse_whole, whole_projects
from wbgql.erasure.planning.decisions import Sifted, check_permitted, check_something_left, may_go, sift
from wbgql.erasure.planning.details import RunDetails, read_details
from wbgql.erasure.planning.judging import Judge
from wbgql.erasure.planning.population import Found, Population, find_by_ids, find_by_rule
from wbgql.erasure.planning.staying import say_what_stays
from wbgql.erasure.planning.surroundings import Surroundings, read_surroundings
from wbgql.erasure.reading.clocks import make_clocks
from wbgql.erasure.records.canonical import digest, digest_of_bytes
from wbgql.erasure.records.plan import (
    NotRead,
    Plan,
    PlannedRun,
    Planner,
    Project,
    Rights,
    Rule,
    Server,
    Tool,
    make_totals,
)
from wbgql.erasure.records.plan_reading import find_nonsense
from wbgql.erasure.records.subjects import CaseKey
from wbgql.errors import NotFound, RequestError, ResponseError, ServerUnavailable
from wbgql.expressions import Expr, compile_filter
from wbgql.paths import ProjectPath, RunPath
from wbgql.progress import NoProgress, Progress
from wbgql.resources import schema_file
from wbgql.runs import ProjectPattern, get_run
from wbgql.safety.holds import HoldRegister
from wbgql.scalars import dump_json, format_datetime
from wbgql.viewer import LOCAL_DEPLOYMENT, Retention, get_retention, get_rights, get_server_info
from wbgql.viewer import Rights as ViewerRights
from wbgql.wire.session import Session

Stages = Callable[[str], AbstractContextManager[Progress]]
"""Opens one stage of the work, by its name, and gives something to report to."""

ConfirmEntire = Callable[[ProjectPath, int], bool]
"""Asks whether really every run of a project is meant; told how many there are."""


@contextmanager
def no_stages(_name: str) -> Iterator[Progress]:
    """Report to nobody."""
    yield NoProgress()


def refuse_entire(_project: ProjectPath, _runs: int) -> bool:
    """Confirm nothing: nobody can be asked."""
    return False


@dataclass(frozen=True, kw_only=True)
class Surface:
    """What planning takes from outside: the time, a new id, the case's secret, who is told and asked."""

    now: datetime
    plan_id: str
    case_key: CaseKey
    base_url: str
    stages: Stages = no_stages
    confirm_entire: ConfirmEntire = refuse_entire


def make_plan(session: Session, ask: Ask, holds: HoldRegister, surface: Surface) -> Plan:
    """Make a plan. Sends no mutation. A plan without runs says that nothing matched.

    Cost: two or three readings of what matches, one request for 50 runs that go with their versions, one for
    500 runs of each project that some go from, and one for whatever is too long for these.

    Raises:
        UsageError: what is asked for cannot be meant.
        NotFound: a project, an id or a canary is not there or not visible.
        PermissionDenied: some of the runs may not be deleted with this key.
        Held: all that match are held, or the register cannot be read.
        CapExceeded: more would go than may, all of a project, or something that must never.
        UnstablePopulation: the runs come and go while they are read.
        ResponseError: ids that the server gave contradict the paths.
    """
    ask.check(surface.base_url)
    with session.deciding():
        return _Planning(session, ask, holds, surface).plan()


class _Planning:
    """One plan in the making."""

    def __init__(self, session: Session, ask: Ask, holds: HoldRegister, surface: Surface) -> None:
        self._session = session
        self._ask = ask
        self._surface = surface
        self._where = ask.frozen_where(surface.now)
        self._holds = holds.read()
        self._hidden: list[NotRead] = []
        self._originals: dict[str, str] = {}

    def plan(self) -> Plan:
        _check_canaries(self._session, self._ask.canaries)
        population = self._find()
        self._ask.canaries.check((run.path, run.tags) for run in population.runs)
        self._ask.canaries.check((path, ()) for path in population.others)
        rights = self._rights(population)
        sifted = sift(population, rights, self._holds)
        check_permitted(sifted, rights.values(), only_permitted=self._ask.only_permitted)
        check_something_left(sifted)
        projects = _count_projects(population, sifted)
        entire = self._check_size(projects)
        runs = self._read_runs(sifted, rights)
        plan = self._assemble(population, sifted, rights, projects, runs, entire=bool(entire))
        nonsense = find_nonsense(plan) if runs else None
        if nonsense is not None:
            raise ResponseError(
                f"what the server answered does not fit together: {nonsense}; no plan was made"
            )
        return plan

    def _find(self) -> Population:
        if self._ask.ids is not None:
            return find_by_ids(self._session, self._ask.ids, allow_missing=self._ask.allow_missing)
        with self._surface.stages("reading runs, twice") as progress:
            return find_by_rule(
                self._session, self._ask.scope, self._where, now=self._surface.now, progress=progress
            )

    def _rights(self, population: Population) -> dict[str, ViewerRights]:
        entities = {path.entity for path in population.projects} | {
            run.path.entity for run in population.runs
        }
        entities |= {part.entity for part in self._ask.scope}
        return {entity: get_rights(self._session, entity) for entity in sorted(entities)}

    def _check_size(self, projects: Sequence[Project]) -> Collection[str]:
        """Return the paths of the projects that may go as a whole."""
        named = {str(path) for path in self._ask.entire}
        whole = whole_projects(projects, named)
        confirmed = [one for one in whole if self._surface.confirm_entire(_path(one), one.runs)]
        entire = named | {project.path for project in confirmed}
        refuse_whole([project for project in whole if project.path not in entire])
        check_caps(projects, self._ask.caps, entire)
        return entire

    def _read_runs(self, sifted: Sifted, rights: dict[str, ViewerRights]) -> list[PlannedRun]:
        by_project: dict[ProjectPath, list[Found]] = {}
        for run in sifted.runs:
            by_project.setdefault(run.path.project_path, []).append(run)
        details = self._read_details(by_project, len(sifted.runs))
        self._hidden = list(_hidden_parts(details))
        surroundings = self._read_surroundings(by_project, details)
        self._originals = {
            f"{project}/{run}": original
            for project, around in surroundings.items()
            for run, original in around.originals.items()
        }
        judge = Judge(
            self._session,
            frozenset(run.storage_id for run in sifted.runs),
            self._ask.policy,
            bool(self._holds),
            surroundings,
        )
        with self._surface.stages("deciding over artifact versions"):
            judged = judge.judge(details)
        return make_runs(Findings(details, judged, surroundings, rights))

    def _read_details(self, by_project: dict[ProjectPath, list[Found]], total: int) -> list[RunDetails]:
        found: dict[RunPath, RunDetails] = {}
        with self._surface.stages("reading what hangs on the runs") as progress:
            for project, runs in by_project.items():
                ids = [run.path.run_id for run in runs]
                for run in read_details(self._session, project, ids, with_files=self._ask.with_files):
                    found[run.facts.path] = run
                    progress.report(len(found), total)
        return [found[run.path] for runs in by_project.values() for run in runs]

    def _read_surroundings(
        self, by_project: dict[ProjectPath, list[Found]], details: Sequence[RunDetails]
    ) -> dict[ProjectPath, Surroundings]:
        planned = frozenset(run.facts.run.id for run in details)
        versions: dict[ProjectPath, set[str]] = {project: set() for project in by_project}
        for run in details:
            wanted = versions[run.facts.path.project_path]
            wanted.update(output.id for output in run.outputs if may_go(output, planned))
        found = {}
        for project, runs in by_project.items():
            with self._surface.stages(f"looking around in {project}") as progress:
                ids = frozenset(run.path.run_id for run in runs)
                found[project] = read_surroundings(self._session, project, ids, versions[project], progress)
        return found

    def _assemble(
        self,
        population: Population,
        sifted: Sifted,
        rights: dict[str, ViewerRights],
        projects: list[Project],
        runs: list[PlannedRun],
        *,
        entire: bool,
    ) -> Plan:
        ask, surface = self._ask, self._surface
        retention = get_retention(self._session)
        not_read = [*population.not_read, *self._hidden]
        unseen = sorted({part.entity for part in ask.scope if isinstance(part, ProjectPattern)})
        return Plan(
            plan_id=surface.plan_id,
            created_at=format_datetime(surface.now),
            expires_at=format_datetime(surface.now + ask.ttl),
            tool=Tool(name="wbgql", version=__version__, sdl=digest_of_bytes(schema_file().read_bytes())),
            server=self._server(retention),
            request=ask.request,
            rule=_rule(ask, self._where, surface.now, entire=entire),
            planner=Planner(username=_username(rights), key_id=ask.planner_key_id),
            rights=[_standing(one) for one in rights.values()],
            projects=projects,
            not_read=not_read,
            caps=ask.caps,
            canaries=ask.canaries.texts,
            approvers=ask.approvers,
            clocks=make_clocks(retention, ask.declared, surface.now),
            holds=digest(self._holds),
            case_key_id=surface.case_key.key_id,
            runs=runs,
            excluded=sifted.excluded,
            totals=make_totals(runs, sifted.excluded),
            stays=say_what_stays(runs, sifted.excluded, not_read, unseen, self._originals),
        )

    def _server(self, retention: Retention) -> Server:
        deployment = retention.deployment_id
        return Server(
            base_url=self._surface.base_url,
            deployment=deployment,
            version=_version(self._session),
            is_test=deployment == LOCAL_DEPLOYMENT,
            profile=self._ask.profile.digest if self._ask.profile else None,
        )


def _hidden_parts(details: Sequence[RunDetails]) -> Iterator[NotRead]:
    """What hangs on the runs and came as null: it cannot be decided over, and stays."""
    for run in details:
        counts = {"artifact versions that it logged": run.hidden_outputs, "of its files": run.hidden_files}
        for what, hidden in counts.items():
            if hidden:
                reason = f"not decidable: this key cannot see {hidden} {what}"
                yield NotRead(path=str(run.facts.path), reason=reason)


def _standing(rights: ViewerRights) -> Rights:
    return Rights(entity=rights.entity, username=rights.username, role=rights.role)


def _check_canaries(session: Session, canaries: Canaries) -> None:
    """A canary that is not there guards nothing: a typo must not pass for safety. One request each."""
    for path in sorted(canaries.runs, key=str):
        try:
            get_run(session, path, exact=True)
        except NotFound as error:
            raise NotFound(
                f"the canary {str(path)!r} is not there or not visible, so it guards nothing"
            ) from error


def _count_projects(population: Population, sifted: Sifted) -> list[Project]:
    matched = Counter(run.path.project_path for run in population.runs)
    planned = Counter(run.path.project_path for run in sifted.runs)
    return [
        Project(path=str(path), runs=found.run_count, matched=matched[path], planned=planned[path])
        for path, found in population.projects.items()
    ]


def _path(project: Project) -> ProjectPath:
    entity, _, name = project.path.partition("/")
    return ProjectPath(entity, name)


def _rule(ask: Ask, where: Expr | None, now: datetime, *, entire: bool) -> Rule:
    by_ids = ask.ids is not None
    scopes = dict.fromkeys(str(path.project_path) for path in ask.ids or ())
    return Rule(
        scopes=list(scopes) if by_ids else [str(part) for part in ask.scope],
        where=None if where is None else str(where),
        filters=None if by_ids else dump_json(compile_filter(where, now=now)),
        ids=len(dict.fromkeys(ask.ids)) if ask.ids is not None else None,
        entire_project=entire,
    )


def _version(session: Session) -> str | None:
    try:
        info = get_server_info(session)
    except RequestError as error:
        if error.retryable or isinstance(error, ServerUnavailable):
            raise
        return None
    return info.version if info else None


def _username(rights: dict[str, ViewerRights]) -> str:
    return next(iter(rights.values())).username
