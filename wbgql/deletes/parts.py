"""Delete parts that belong to a run: its files, and artifact versions it logged, by explicit ids."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from wbgql.artifacts import ArtifactDetails, CreatedByRun, get_artifact
from wbgql.deletes.sending import LOOK_UP_RUN, look_up
from wbgql.documents import Operation, Result
from wbgql.errors import Held, NotFound, PartialError, ResponseError, UsageError
from wbgql.files import File, iter_files
from wbgql.gate import Gate
from wbgql.holds import HoldRegister, HoldTarget
from wbgql.mutations import send_once
from wbgql.paths import RunPath
from wbgql.projects import get_project
from wbgql.session import Session


class _Success(Result, frozen=True):
    success: bool | None


class _DeleteFiles(Result, frozen=True):
    delete_files: _Success | None


class _StopRun(Result, frozen=True):
    stop_run: _Success | None


class _UnlinkArtifact(Result, frozen=True):
    unlink_artifact: _Success | None


class _ArtifactState(Result, frozen=True):
    id: str
    state: str


class _DeletedArtifact(Result, frozen=True):
    artifact: _ArtifactState


class _DeleteArtifact(Result, frozen=True):
    delete_artifact: _DeletedArtifact | None


DELETE_FILES = Operation("DeleteFiles", _DeleteFiles, destructive=True)
DELETE_ARTIFACT = Operation("DeleteArtifact", _DeleteArtifact, destructive=True)
STOP_RUN = Operation("StopRun", _StopRun, destructive=True)
UNLINK_ARTIFACT = Operation("UnlinkArtifact", _UnlinkArtifact, destructive=True)


class FileDeletion(msgspec.Struct, frozen=True, kw_only=True):
    """Names of the files that are gone from the run's list, and of those that were not there before."""

    gone: list[str]
    absent_before: list[str]


class ArtifactDeletion(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one artifact version: its `state` when read again, None where it answers null."""

    name: str
    state: str | None
    answered: bool = True


def delete_files(
    session: Session, path: RunPath, files: Iterable[str | File], *, holds: HoldRegister, force: bool = False
) -> FileDeletion:
    """Delete files of a run, and read the list again. Irreversible for users.

    `files` are names, or files as `iter_files` gives them. The ids that are sent are those of the run's
    own list, read just before.

    Raises:
        UsageError: one text in place of a list, or a file that is not the run's file of that name.
        PermissionDenied, StillLogging, Held: the gate; nothing was done.
        NotFound, NotVisible: the run or its project is missing or not visible.
        PartialError: some are still listed.
    """
    if isinstance(files, (str, File)):
        one = f"the text {files!r}" if isinstance(files, str) else f"the file {files.name!r}"
        raise UsageError(f"give a list of files, not {one}; nothing was done")
    given = list(files)
    wanted = list(dict.fromkeys(file if isinstance(file, str) else file.name for file in given))
    seen = look_up(session, path)
    if seen.run is None:
        raise NotFound.run(path, operation=LOOK_UP_RUN.name)
    Gate(session, holds).check(path, seen.run, read_only=bool(seen.read_only), force=force)
    before = {file.name: file.id for file in iter_files(session, path)}
    for file in given:
        if isinstance(file, File) and before.get(file.name, file.id) != file.id:
            raise UsageError(
                f"file {file.name!r} is not the one of that name in run {str(path)!r}: it is of another run, "
                "or was replaced; nothing was done"
            )
    present = [name for name in wanted if name in before]
    if present:
        project_id = get_project(session, path.project_path).number
        variables = {"files": [before[name] for name in present], "projectId": project_id}
        lost = send_once(session, DELETE_FILES, variables)
        left = {file.name for file in iter_files(session, path)} & set(present)
        if left:
            gone = [name for name in present if name not in left]
            reason = f" ({lost})" if lost else ""
            raise PartialError(
                f"{len(left)} of {len(present)} files of {str(path)!r} are still listed{reason}: "
                f"{', '.join(sorted(left))}",
                done=gone,
                failed=sorted(left),
            )
    return FileDeletion(gone=present, absent_before=[name for name in wanted if name not in before])


def delete_artifact(
    session: Session, artifact_id: str, *, holds: HoldRegister, delete_aliases: bool = False
) -> ArtifactDeletion:
    """Delete one artifact version by its id, and read its state again. Irreversible for users.

    A hold on the run that logged it holds it too. A lost answer is looked up, never sent again.

    Raises:
        NotFound: no such version, or not visible.
        Held: a hold stands in the way; nothing was done.
        UsageError: it has aliases and `delete_aliases` is not set; nothing was done.
        ResponseError: the server acknowledged, yet the version is still there.
    """
    artifact = get_artifact(session, artifact_id)
    _check_artifact(session, artifact, holds, delete_aliases=delete_aliases)
    lost = send_once(session, DELETE_ARTIFACT, {"id": artifact_id, "deleteAliases": delete_aliases})
    try:
        state = get_artifact(session, artifact_id).state
    except NotFound:
        state = None
    if state not in (None, "DELETED"):
        if lost is not None:
            raise lost
        raise ResponseError(
            f"the server acknowledged the deletion of artifact {artifact.name!r}, which is still {state}",
            operation=DELETE_ARTIFACT.name,
        )
    return ArtifactDeletion(name=artifact.name, state=state, answered=lost is None)


def _check_artifact(
    session: Session, artifact: ArtifactDetails, holds: HoldRegister, *, delete_aliases: bool
) -> None:
    aliases = [alias.alias for alias in artifact.aliases]
    if aliases and not delete_aliases:
        raise UsageError(
            f"artifact {artifact.name!r} has the aliases {', '.join(aliases)}; say that they go too "
            "(delete_aliases); nothing was done"
        )
    creator = artifact.created_by
    if isinstance(creator, CreatedByRun) and creator.project is not None:
        target = HoldTarget(
            entity=creator.project.entity_name,
            project=creator.project.name,
            run_id=creator.name,
            tags=tuple(creator.tags or ()),
            user=creator.user.username if creator.user else None,
        )
        Gate(session, holds).check_holds(target)
    elif holds.read():
        raise Held(
            f"artifact {artifact.name!r} was made by no run that is known, so no hold can be ruled out; "
            "nothing was done"
        )
