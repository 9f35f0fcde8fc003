"""Delete artifact versions, by explicit paths or ids, and prove it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from wbgql.artifacts import Artifact, ArtifactPath, CreatedByRun, CreatedByUser, is_number
from wbgql.deletes.batches import DEFAULT_RATE, pace, raise_if_failed, run_batch
from wbgql.documents import Operation, Result
from wbgql.errors import Held, Kept, NotFound, NotVisible, ResponseError, UsageError, WbgqlError
from wbgql.limiting import Limits
from wbgql.paths import ProjectPath, RunPath
from wbgql.progress import NoProgress, Progress
from wbgql.projects import project_number
from wbgql.safety.holds import HoldRegister, HoldTarget
from wbgql.wire.connection import Connection, iter_nodes
from wbgql.wire.mutations import not_applied, not_known, refuses, reread_after_s, send_once
from wbgql.wire.session import Session

# Versions of such types are the server's own; it refuses their deletion with HTTP 400.
# Source: staff in wandb/wandb#6237 and #12814 (2026-09).
_SYSTEM_PREFIX = "wandb-"
_LATEST = "latest"


class _Name(Result, frozen=True):
    name: str


class _Alias(Result, frozen=True):
    alias: str


class _Project(Result, frozen=True):
    name: str
    entity_name: str


class _Place(_Project, frozen=True):
    internal_id: str | None = None


class _Collection(Result, frozen=True):
    id: str
    name: str
    project: _Place | None

    @property
    def names(self) -> tuple[str, str, str] | None:
        """Entity, project and name; None where the project is not visible."""
        return None if self.project is None else (self.project.entity_name, self.project.name, self.name)


class _Membership(Result, frozen=True):
    artifact_collection: _Collection | None


class _MembershipEdge(Result, frozen=True):
    node: _Membership | None


class _Memberships(Result, frozen=True):
    edges: list[_MembershipEdge]


class FoundVersion(Result, frozen=True):
    """One artifact version with all that decides over its deletion."""

    id: str
    digest: str
    state: str
    size: int
    version_index: int | None
    artifact_type: _Name
    artifact_sequence: _Collection
    aliases: list[_Alias]
    artifact_memberships: _Memberships
    created_by: CreatedByRun | CreatedByUser | None

    @property
    def path(self) -> str:
        """`entity/project/collection:vN`, where it was logged; its id if that is not visible."""
        project = self.artifact_sequence.project
        if project is None or self.version_index is None:
            return self.id
        return f"{project.entity_name}/{project.name}/{self.artifact_sequence.name}:v{self.version_index}"

    def is_named(self, path: ArtifactPath) -> bool:
        """Whether it is in the collection of a path, letter for letter, and of its number if it says one."""
        wanted = (path.entity, path.project, path.collection)
        memberships = [edge.node.artifact_collection for edge in self.artifact_memberships.edges if edge.node]
        if self.artifact_sequence.names == wanted:
            return path.number in (None, self.version_index)
        return wanted in [one.names for one in memberships if one is not None]

    @property
    def is_system(self) -> bool:
        """Whether it belongs to the server (`wandb-history` and the like), which lets nobody delete it."""
        return self.artifact_type.name.startswith(_SYSTEM_PREFIX)

    @property
    def alias_names(self) -> list[str]:
        """Its aliases, sorted; `vN` is none of them, also where the server lists it."""
        return sorted({alias.alias for alias in self.aliases if not is_number(alias.alias)})

    @property
    def given_aliases(self) -> list[str]:
        """Aliases that somebody gave it; `latest` moves by itself and is none of them."""
        return [alias for alias in self.alias_names if alias != _LATEST]

    @property
    def links(self) -> list[str]:
        """The other collections it is linked into, sorted by name."""
        rows = self.artifact_memberships.edges
        found = [None if edge.node is None else edge.node.artifact_collection for edge in rows]
        others = [one for one in found if one is None or one.id != self.artifact_sequence.id]
        return sorted(
            "a collection that is not visible"
            if one is None
            else one.name
            if one.project is None
            else f"{one.project.entity_name}/{one.project.name}/{one.name}"
            for one in others
        )

    @property
    def made_by(self) -> str | None:
        """Storage id of the run that logged it first; None where that is gone, or was none."""
        return self.created_by.id if isinstance(self.created_by, CreatedByRun) else None


class _FindById(Result, frozen=True):
    artifact: FoundVersion | None


class _ProjectWithVersion(_Project, frozen=True):
    artifact: FoundVersion | None


class _FindByName(Result, frozen=True):
    project: _ProjectWithVersion | None


class _LookUp(Result, frozen=True):
    artifact: FoundVersion | None
    project: _Project | None


class _RunOutputs(Result, frozen=True):
    id: str
    name: str
    outputs: Connection[FoundVersion] | None


class _ProjectWithOutputs(_Project, frozen=True):
    run: _RunOutputs | None


class _ListOutputs(Result, frozen=True):
    project: _ProjectWithOutputs | None


class _ArtifactState(Result, frozen=True):
    id: str
    state: str


class _DeletedArtifact(Result, frozen=True):
    artifact: _ArtifactState


class _DeleteArtifact(Result, frozen=True):
    delete_artifact: _DeletedArtifact | None


class _Success(Result, frozen=True):
    success: bool | None


class _UnlinkArtifact(Result, frozen=True):
    unlink_artifact: _Success | None


FIND_VERSION = Operation("FindVersion", _FindById, names="own")
FIND_VERSION_BY_NAME = Operation("FindVersionByName", _FindByName, names="own")
LOOK_UP_VERSION = Operation("LookUpVersion", _LookUp)
LIST_OUTPUTS_TO_DELETE = Operation("ListOutputsToDelete", _ListOutputs, paged=True, names="own")
DELETE_ARTIFACT = Operation("DeleteArtifact", _DeleteArtifact, destructive=True)
UNLINK_ARTIFACT = Operation("UnlinkArtifact", _UnlinkArtifact, destructive=True)


Target: TypeAlias = ArtifactPath | str | Artifact | FoundVersion
"""What names one version: its path, its id, or the version as it was found."""


class ArtifactDeletion(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one artifact version.

    `outcome`: "deleted" (seen before; afterwards the server says DELETED, or null while the project is still
    visible), "absent_before" (DELETED or null before anything was sent). Only `delete_artifacts` has the
    others, and says in `reason` why: "kept" (the server's own, with aliases, or linked), "held", "denied",
    "not_visible", "failed", "unknown" (it was sent, and no read could tell), "not_tried".

    `path` is `entity/project/collection:vN`, or what was asked for if nothing answers. `state`: as read
    afterwards, None for null. `answered`: False where the answer was lost and the reads alone tell.
    """

    path: str
    outcome: str
    id: str | None = None
    state: str | None = None
    answered: bool = True
    reason: str | None = None


class ArtifactPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What `delete_artifact` would do to one version now: "delete", "keep" or "refuse" with the reason."""

    path: str
    would: Literal["delete", "keep", "refuse"]
    id: str | None = None
    reason: str | None = None
    type: str | None = None
    size: int | None = None


def find_version(session: Session, target: ArtifactPath | str) -> FoundVersion | None:
    """Return the version that a path or an id names; None where it answers null or is deleted. One request.

    Raises:
        NotVisible: the project of the path is missing or not visible.
        UsageError: the server answers with another version than the one asked for, or the path names a link.
    """
    if isinstance(target, str):
        try:
            found = session.execute(FIND_VERSION, id=target).artifact
        except NotFound:
            return None
        if found is not None and found.id != target:
            raise UsageError(f"the server answers {found.id!r} for artifact {target!r}; nothing was done")
    else:
        home = target.project_path
        project = session.execute(
            FIND_VERSION_BY_NAME, entity=home.entity, project=home.project, name=target.name
        ).project
        if project is None:
            raise _not_visible(str(target), home)
        if (project.entity_name, project.name) != (home.entity, home.project):
            raise UsageError(
                f"the server resolved {str(home)!r} to '{project.entity_name}/{project.name}'; use that "
                "path. Nothing was deleted"
            )
        found = project.artifact
        if found is not None and not found.is_named(target):
            raise UsageError(
                f"the server resolved {str(target)!r} to {found.path!r}; use that path. Nothing was deleted"
            )
        if found is not None:
            _refuse_link(found, target)
    return None if found is None or found.state == "DELETED" else found


def _refuse_link(found: FoundVersion, target: ArtifactPath) -> None:
    home = found.artifact_sequence.project
    place = None if home is None else (home.entity_name, home.name, found.artifact_sequence.name)
    if place != (target.entity, target.project, target.collection):
        raise UsageError(
            f"artifact {str(target)!r} is a link to {found.path!r}: name that one to delete it; "
            "nothing was done"
        )


def iter_outputs(session: Session, path: RunPath) -> Iterator[FoundVersion]:
    """Yield the versions that a run logged and that are not deleted. One request for 100.

    Raises:
        NotVisible: the run or its project is missing or not visible.
        UsageError: the server answers with another run than the one asked for.
    """

    def fetch(first: int, after: str | None) -> Connection[FoundVersion]:
        project = session.execute(
            LIST_OUTPUTS_TO_DELETE,
            entity=path.entity,
            project=path.project,
            run=path.run_id,
            first=first,
            after=after,
        ).project
        if project is None or project.run is None or project.run.outputs is None:
            raise _not_visible(f"the artifacts of {path}", path.project_path)
        real = RunPath(project.entity_name, project.name, project.run.name)
        if real != path:
            raise UsageError(f"the server resolved {str(path)!r} to {str(real)!r}; nothing was done")
        return project.run.outputs

    nodes = iter_nodes(
        fetch,
        changes=session.changes,
        page_size=100,
        key=lambda version: version.id,
        what=f"artifact versions of run {str(path)!r}",
    )
    return (version for version in nodes if version.state != "DELETED")


def check_version(
    version: FoundVersion, holds: HoldRegister, *, delete_aliases: bool = False, delete_links: bool = False
) -> None:
    """Check that a version may be deleted now: it is no system artifact, and no hold, alias or link keeps it.

    A hold on its project, on one it is linked into, on the run that logged it first, or on that run's tags
    and user holds it. If no run is known that made it, and the register has any hold, it counts as held.

    Raises:
        Held: a hold stands in the way, or the register cannot be read.
        Kept: a system artifact; or aliases or links that were not given up.
    """
    if version.is_system:
        raise Kept(
            f"artifact {version.path!r} is the server's own ({version.artifact_type.name}): no user can "
            "delete it; nothing was done"
        )
    _check_holds(version, holds)
    if version.given_aliases and not delete_aliases:
        raise Kept(
            f"artifact {version.path!r} has the aliases {', '.join(version.given_aliases)}; say that they "
            "go too (delete_aliases, --delete-aliases); nothing was done"
        )
    if version.links and not delete_links:
        raise Kept(
            f"artifact {version.path!r} is linked into {', '.join(version.links)}; say that the links go too "
            "(delete_links, --delete-links); nothing was done"
        )


def delete_artifact(
    session: Session,
    target: Target,
    *,
    holds: HoldRegister,
    delete_aliases: bool = False,
    delete_links: bool = False,
) -> ArtifactDeletion:
    """Delete one artifact version, and prove it by an independent read. Irreversible for users.

    `target`: a path, an id, or a version as it was found, which is then looked up again. Three requests. The
    mutation is sent again after HTTP 429, and once if its answer was lost and the reads show the version
    still there; each time the version is read and checked again.

    Raises:
        NotFound: no such version, or deleted already; nothing was done.
        NotVisible: its project is missing or not visible; nothing was done.
        Held, Kept: see `check_version`; nothing was done.
        UsageError: what the id or path names is not what was found before; nothing was done.
        RequestError: the server refused, or the answer was lost twice, and the version is still there. With
            `.maybe_applied`: the deletion was sent, and the version could not be looked up.
        ResponseError: the server acknowledged, yet the version is still there.
    """
    before = _look_before(session, target)
    rules = {"delete_aliases": delete_aliases, "delete_links": delete_links}
    check_version(before, holds, **rules)
    attempts = 0

    def guard() -> None:
        nonlocal attempts
        attempts += 1
        if attempts > 1:
            check_version(_look_before(session, before), holds, **rules)

    variables = {"id": before.id, "deleteAliases": bool(before.alias_names)}
    for is_last in (False, True):
        lost = send_once(session, DELETE_ARTIFACT, variables, guard=guard).lost
        try:
            state = _look_after(session, before, reread_after_s(lost))
        except WbgqlError as error:
            not_known(error, f"the deletion of {before.path!r}", lost)
            raise
        if state in (None, "DELETED"):
            break
        if lost is None:
            raise ResponseError(
                f"the server acknowledged the deletion of artifact {before.path!r}, which is still {state}",
                operation=DELETE_ARTIFACT.name,
            )
        if is_last or refuses(lost):
            raise not_applied(lost)
    return ArtifactDeletion(
        path=before.path, outcome="deleted", id=before.id, state=state, answered=lost is None
    )


def delete_artifacts(
    session: Session,
    targets: Sequence[Target],
    *,
    holds: HoldRegister,
    delete_aliases: bool = False,
    delete_links: bool = False,
    limits: Limits | None = None,
    progress: Progress | None = None,
    on_result: Callable[[ArtifactDeletion], object] = lambda _: None,
    check: bool = True,
) -> list[ArtifactDeletion]:
    """Delete artifact versions one by one; return one outcome per target, in order.

    Paced, and ended by the same failures, as `delete_runs`. Three requests per version. A version that is
    held, the server's own, aliased or linked does not end the batch.

    Raises:
        PartialError: some were not deleted; `.done` and `.failed` have the outcomes.
        The first error itself, where nothing at all was done.
    """
    paced = pace(session, limits or Limits(rate=DEFAULT_RATE))

    def act(target: Target) -> ArtifactDeletion:
        try:
            return delete_artifact(
                paced, target, holds=holds, delete_aliases=delete_aliases, delete_links=delete_links
            )
        except NotFound:
            return ArtifactDeletion(path=_name(target), outcome="absent_before")

    def make(target: Target, outcome: str, reason: str) -> ArtifactDeletion:
        found = target.id if isinstance(target, Artifact | FoundVersion) else None
        return ArtifactDeletion(path=_name(target), outcome=outcome, id=found, reason=reason)

    by_name = {_name(target): target for target in targets}
    batch = run_batch(
        by_name,
        lambda name: act(by_name[name]),
        lambda name, outcome, reason: make(by_name[name], outcome, reason),
        progress=progress or NoProgress(),
        on_result=on_result,
    )
    if check:
        raise_if_failed(list(batch.outcomes.values()), batch.first, "artifact versions")
    return [batch.outcomes[_name(target)] for target in targets]


def preview_artifact(
    version: FoundVersion, holds: HoldRegister, *, delete_aliases: bool = False, delete_links: bool = False
) -> ArtifactPreview:
    """Say what `delete_artifact` would do to a version that was found. Sends nothing."""
    facts: dict[str, Any] = {
        "path": version.path,
        "id": version.id,
        "type": version.artifact_type.name,
        "size": version.size,
    }
    try:
        check_version(version, holds, delete_aliases=delete_aliases, delete_links=delete_links)
    except Kept as error:
        return ArtifactPreview(would="keep", reason=str(error), **facts)
    except Held as error:
        return ArtifactPreview(would="refuse", reason=str(error), **facts)
    return ArtifactPreview(would="delete", **facts)


def _name(target: Target) -> str:
    if isinstance(target, Artifact | FoundVersion):
        return target.path or target.id
    return str(target)


def _look_before(session: Session, target: Target) -> FoundVersion:
    found = find_version(session, target if isinstance(target, ArtifactPath | str) else target.id)
    if found is None:
        raise NotFound(
            f"no artifact {_name(target)!r}: it was deleted, never existed, or this key cannot see it",
            operation=FIND_VERSION.name,
        )
    if isinstance(target, Artifact | FoundVersion):
        named = _name(target)
        if (found.path, found.digest) != (named, target.digest):
            raise UsageError(
                f"artifact {target.id!r} was {named!r} and is {found.path!r} here, or its content is "
                "another: it was moved, or is of another server; nothing was done"
            )
    return found


def _look_after(session: Session, before: FoundVersion, waits_s: Sequence[float]) -> str | None:
    """Read a version's state, and again after each wait while it is still there; None for null.

    Raises:
        NotVisible: null, and its project is not visible either: nothing can be said.
    """
    home = before.artifact_sequence.project
    for wait_s in (*waits_s, None):
        seen = _look_up(session, before, home)
        state = seen.artifact.state if seen.artifact else None
        if state == "DELETED":
            break
        if state is None:
            if home is None or seen.project != home:
                raise NotVisible(
                    f"artifact {before.path!r} answers null, and its project cannot be seen either: rights "
                    "may have been lost; cannot say it is deleted"
                )
            break
        if wait_s is not None:
            session.sleep(wait_s)
    return state


def _look_up(session: Session, before: FoundVersion, home: _Project | None) -> _LookUp:
    entity, project = ("", "") if home is None else (home.entity_name, home.name)
    try:
        return session.execute(LOOK_UP_VERSION, id=before.id, entity=entity, project=project)
    except NotFound as error:
        # Some servers call a version that is purged an error; the project may have answered all the same.
        raise NotVisible(f"artifact {before.path!r}: {error}; cannot say it is deleted") from error


def _check_holds(version: FoundVersion, holds: HoldRegister) -> None:
    creator, home = version.created_by, version.artifact_sequence.project
    if isinstance(creator, CreatedByRun) and creator.project is not None:
        tags, user = tuple(creator.tags or ()), creator.user.username if creator.user else None
        members = [edge.node.artifact_collection for edge in version.artifact_memberships.edges if edge.node]
        linked = [collection.project for collection in members if collection is not None]
        for place in (creator.project, home, *linked):
            if place is not None:
                target = HoldTarget(
                    entity=place.entity_name,
                    project=place.name,
                    run_id=creator.name,
                    tags=tags,
                    user=user,
                    created_at=creator.created_at,
                    project_id=project_number(place.internal_id),
                )
                holds.check(target)
    elif holds.read():
        raise Held(
            f"artifact {version.path!r} was made by no run that is known, so no hold can be ruled out; "
            "nothing was done"
        )


def _not_visible(what: str, home: ProjectPath) -> NotVisible:
    return NotVisible(
        f"project {str(home)!r} is missing or not visible to this key, so nothing can be said of {what}; "
        "check the spelling, the entity and the key (`wbgql whoami`)"
    )
