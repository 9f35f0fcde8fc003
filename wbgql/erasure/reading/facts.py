"""Reads what a run and a version are like right now, as far as somebody's work on them shows."""

from __future__ import annotations

from typing import Any

import msgspec

from wbgql.artifacts import is_number
from wbgql.documents import NOT_FETCHED, Operation, Result
from wbgql.erasure.records.plan_ids import SYSTEM_PREFIX
from wbgql.errors import NotVisible, ResponseError, UsageError
from wbgql.paths import ProjectPath, RunPath
from wbgql.runs import LOGGING_STATES, DecidingRun
from wbgql.wire.connection import Changes, Connection, PageInfo, iter_pages
from wbgql.wire.session import Session

LATEST = "latest"
NO_CHANGES = Changes()
"""For lists of one run or version: the job's other threads change others all the time, which is no reason
to read these again."""
_OUTPUTS_PER_PAGE = 1000
_USERS_PER_PAGE = 1000


def is_system_type(name: str) -> bool:
    """Whether versions of this type are the server's own."""
    return name.startswith(SYSTEM_PREFIX)


class Named(Result, frozen=True):
    name: str


class Id(Result, frozen=True):
    id: str


class Alias(Result, frozen=True):
    alias: str


class ByRun(Result, frozen=True, tag_field="__typename", tag="Run"):
    id: str


class ByUser(Result, frozen=True, tag_field="__typename", tag="User"):
    pass


class Logged:
    """What a version that a run logged says of itself, whatever else was asked for with it."""

    __slots__ = ()
    artifact_type: Named
    created_by: ByRun | ByUser | None

    @property
    def is_system(self) -> bool:
        """Whether it is the server's own."""
        return is_system_type(self.artifact_type.name)

    @property
    def maker(self) -> str | None:
        """Storage id of the run that was the first to log it; None where that is gone, or was none."""
        return self.created_by.id if isinstance(self.created_by, ByRun) else None


class Output(Logged, Result, frozen=True):
    """One version that a run logged, as its run's facts hold it."""

    id: str
    digest: str
    artifact_type: Named
    created_by: ByRun | ByUser | None


class RunState(DecidingRun, frozen=True, kw_only=True):
    """A run with what changes when somebody works on it: an answer that lacks one of it is an error.

    Bytes and the number of files only inform.

    A server whose schema lacks one of these two leaves it `NOT_FETCHED`, and the run is erased all the same.
    """

    display_name: str | None
    group: str | None
    job_type: str | None
    sweep_name: str | None
    updated_at: str | None
    heartbeat_at: str | None
    read_only: bool | None
    history_line_count: int | None
    events_line_count: int | None
    log_line_count: int | None
    file_count: int | None = NOT_FETCHED
    storage_bytes: int | None = NOT_FETCHED


class _RunWithOutputs(RunState, frozen=True, kw_only=True):
    outputs: Connection[Output] | None


class _FactsProject(Result, frozen=True):
    name: str
    entity_name: str
    run: _RunWithOutputs | None


class _GetRunFacts(Result, frozen=True):
    project: _FactsProject | None


class ProjectName(Result, frozen=True):
    name: str
    entity_name: str


class CollectionName(Result, frozen=True):
    """A collection; its name and project if they were asked for."""

    id: str
    name: str = NOT_FETCHED
    project: ProjectName | None = NOT_FETCHED


class Membership(Result, frozen=True):
    """A version in one collection, with its aliases there, if they were asked for."""

    artifact_collection: CollectionName | None
    aliases: list[Alias] = NOT_FETCHED


class _MembershipEdge(Result, frozen=True):
    node: Membership | None


class _Memberships(Result, frozen=True):
    edges: list[_MembershipEdge]


class VersionState(Result, frozen=True, kw_only=True):
    """A version with what changes when somebody uses, links or names it."""

    id: str
    digest: str
    state: str
    artifact_sequence: CollectionName
    aliases: list[Alias]
    artifact_memberships: _Memberships

    @property
    def alias_names(self) -> tuple[str, ...]:
        """Its aliases, sorted; `vN` is none of them, also where the server lists it."""
        return tuple(sorted({alias.alias for alias in self.aliases if not is_number(alias.alias)}))

    @property
    def given_aliases(self) -> tuple[str, ...]:
        """Aliases that somebody gave it, sorted; `latest` moves by itself and is none of them."""
        return tuple(alias for alias in self.alias_names if alias != LATEST)

    @property
    def memberships(self) -> list[Membership]:
        """Its collections, its own among them."""
        return [edge.node for edge in self.artifact_memberships.edges if edge.node]

    @property
    def links(self) -> tuple[str, ...]:
        """Ids of the collections it is linked into, beside its own, sorted; "" for one that is hidden."""
        found = (membership.artifact_collection for membership in self.memberships)
        ids = {"" if collection is None else collection.id for collection in found}
        if any(edge.node is None for edge in self.artifact_memberships.edges):
            ids.add("")
        return tuple(sorted(ids - {self.artifact_sequence.id}))


class _VersionWithUsers(VersionState, frozen=True, kw_only=True):
    artifact_type: Named
    version_index: int | None
    created_by: ByRun | ByUser | None
    used_by: Connection[Id]


class _GetArtifactFacts(Result, frozen=True):
    artifact: _VersionWithUsers | None


GET_RUN_FACTS = Operation("GetRunFacts", _GetRunFacts, paged=True, names="own")
GET_ARTIFACT_FACTS = Operation("GetArtifactFacts", _GetArtifactFacts, paged=True)
OPERATIONS: tuple[Operation[Any], ...] = (GET_RUN_FACTS, GET_ARTIFACT_FACTS)


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One run as it was read, with every version it logged."""

    path: RunPath
    run: RunState
    outputs: tuple[Output, ...]

    @property
    def is_logging(self) -> bool:
        """Whether a process is still at work on it."""
        return self.run.state in LOGGING_STATES


class ArtifactFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One version as it was read. `users`: storage ids of the runs that use it, of those that are visible.

    `hidden_users`: how many more there are. `name` is `collection:vN`, `type` its type's name, `project` that
    of its collection and `maker` the run that made it, None where the server names none.
    """

    version: VersionState
    users: tuple[str, ...]
    hidden_users: int
    name: str = ""
    type: str = ""
    project: ProjectPath | None = None
    maker: ByRun | None = None


def version_name(version: VersionState, index: int | None) -> str:
    """`collection:vN`, as the SDK writes it."""
    return f"{version.artifact_sequence.name}{'' if index is None else f':v{index}'}"


def read_run_facts(session: Session, path: RunPath) -> RunFacts | None:
    """Read one run again; None where it answers null. One request, and one more per 1000 versions.

    Raises:
        NotVisible: the project is missing or not visible.
        UsageError: the server answers with a run or project of another name.
    """
    found: list[RunState] = []

    def fetch(first: int, after: str | None) -> Connection[Output]:
        project = session.execute(
            GET_RUN_FACTS, entity=path.entity, project=path.project, run=path.run_id, first=first, after=after
        ).project
        if project is None:
            raise NotVisible(
                f"project {str(path.project_path)!r} is missing or not visible to this key, so nothing can "
                f"be said of run {path.run_id!r}"
            )
        if project.run is None:
            return Connection(edges=[], page_info=PageInfo(has_next_page=False))
        _check_names(path, RunPath(project.entity_name, project.name, project.run.name))
        found.append(project.run)
        return _present(project.run.outputs, GET_RUN_FACTS)

    pages = iter_pages(
        fetch,
        changes=NO_CHANGES,
        page_size=_OUTPUTS_PER_PAGE,
        key=lambda output: output.id,
        on_warning=refuse_half,
        on_hidden=lambda _hidden: (
            None
        ),  # the plan names them; what came or went since changes the fingerprint
    )
    outputs = tuple(output for _, new in pages for output in new)
    return RunFacts(path=path, run=found[-1], outputs=outputs) if found else None


def read_artifact_facts(session: Session, artifact_id: str) -> ArtifactFacts | None:
    """Read one version again; None where it answers null. One request, and one more per 1000 users.

    A deleted version may still answer, with state DELETED.
    """
    found: list[_VersionWithUsers] = []
    hidden: list[int] = []

    def fetch(first: int, after: str | None) -> Connection[Id]:
        version = session.execute(GET_ARTIFACT_FACTS, id=artifact_id, first=first, after=after).artifact
        if version is None:
            return Connection(edges=[], page_info=PageInfo(has_next_page=False))
        found.append(version)
        return version.used_by

    pages = iter_pages(
        fetch,
        changes=NO_CHANGES,
        page_size=_USERS_PER_PAGE,
        key=lambda run: run.id,
        on_warning=refuse_half,
        on_hidden=hidden.append,
    )
    users = tuple(sorted(run.id for _, new in pages for run in new))
    if not found:
        return None
    total = found[-1].used_by.total_count or 0
    version = found[-1]
    home = version.artifact_sequence.project
    return ArtifactFacts(
        version=version,
        users=users,
        hidden_users=max(sum(hidden), total - len(users)),
        name=version_name(version, version.version_index),
        type=version.artifact_type.name,
        project=None if home is None else ProjectPath(home.entity_name, home.name),
        maker=version.created_by if isinstance(version.created_by, ByRun) else None,
    )


def _check_names(asked: RunPath, real: RunPath) -> None:
    if real != asked:
        raise UsageError(
            f"the server resolved {str(asked)!r} to {str(real)!r}; use that path. Nothing was done"
        )


def _present(outputs: Connection[Output] | None, operation: Operation[Any]) -> Connection[Output]:
    if outputs is None:
        raise ResponseError("the server does not list what the run logged", operation=operation.name)
    return outputs


def refuse_half(message: str) -> None:
    """Raise where a list may not be whole: half of it must not pass for what a run logged, or who uses it.

    Raises:
        ResponseError: always.
    """
    raise ResponseError(message)
