"""Delete files of a run, by explicit names or frozen ids, and prove it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from wbgql.deletes.sending import LOOK_UP_RUN, look_up
from wbgql.documents import Operation, Result
from wbgql.errors import NotFound, PartialError, RequestError, UsageError, WbgqlError
from wbgql.files import File, iter_files
from wbgql.paths import RunPath
from wbgql.projects import get_project
from wbgql.safety.gate import Gate
from wbgql.safety.holds import HoldRegister
from wbgql.wire.mutations import not_known, refuses, reread_after_s, send_once
from wbgql.wire.session import Session

_FILES_PER_REQUEST = 100


class _Success(Result, frozen=True):
    success: bool | None


class _DeleteFiles(Result, frozen=True):
    delete_files: _Success | None


DELETE_FILES = Operation("DeleteFiles", _DeleteFiles, destructive=True)


class FileDeletion(msgspec.Struct, frozen=True, kw_only=True):
    """Names of the files that are gone from the run's list, and of those that were not there before."""

    gone: list[str]
    absent_before: list[str]


def delete_files(
    session: Session,
    path: RunPath,
    files: Iterable[str | File],
    *,
    holds: HoldRegister,
    force: bool = False,
    made_at: Mapping[RunPath, datetime] | None = None,
) -> FileDeletion:
    """Delete files of a run, and read its list again. Irreversible for users.

    A file is given by its name, or as a list gave it: then it is deleted only if the name still has that id.
    The ids that are sent are those of the run's own list, read just before. For 100 files: a look at the run,
    the mutation, and the list afterwards (a request for 500 files). In all: the list before, rights, project.
    The mutation is sent again only after HTTP 429, or once if its answer was lost or was no success, and the
    list shows that none of its files is gone; each time the run passes the gate again. `made_at`: see `Gate`.

    Raises:
        PermissionDenied, StillLogging, Held: the gate; nothing was done.
        NotFound, NotVisible: the run or its project is missing or not visible.
        UsageError: a file was given as listed, and the name has another id now, or the run is another than
            the one that was given; nothing was done.
        PartialError: some are still listed. `.done` and `.failed` have their names.
    """
    if isinstance(files, (str, File)):
        one = f"the text {files!r}" if isinstance(files, str) else f"the file {files.name!r}"
        raise UsageError(f"give a list of files, not {one}; nothing was done")
    wanted = {file if isinstance(file, str) else file.name: file for file in files}
    gate = Gate(session, holds, made_at=made_at)

    def pass_gate() -> None:
        seen = look_up(session, path)
        if seen.run is None:
            raise NotFound.run(path, operation=LOOK_UP_RUN.name)
        gate.check(path, seen.run, read_only=bool(seen.read_only), force=force)

    listed = {file.name: file.id for file in iter_files(session, path, exact=True)}
    changed = [
        name
        for name, file in wanted.items()
        if isinstance(file, File) and listed.get(name, file.id) != file.id
    ]
    if changed:
        raise UsageError(
            f"file {', '.join(map(repr, changed))} is not the one of that name in run {str(path)!r}: it is "
            "of another run, or was replaced since it was listed; nothing was done"
        )
    present = {name: listed[name] for name in wanted if name in listed}
    names = list(present)
    gone: list[str] = []
    lost: WbgqlError | None = None
    project_id = get_project(session, path.project_path, exact=True).number if present else None
    for start in range(0, len(names), _FILES_PER_REQUEST):
        batch = names[start : start + _FILES_PER_REQUEST]
        variables = {"files": [present[name] for name in batch], "projectId": project_id}
        try:
            left, lost = _delete_batch(session, path, batch, variables, pass_gate)
        except WbgqlError as error:
            if not gone:
                raise
            left, lost = set(batch), error
        gone += [name for name in batch if name not in left]
        if left:
            break
    if len(gone) < len(names):
        failed = [name for name in names if name not in gone]
        raise PartialError(
            f"{len(failed)} of {len(names)} files of {str(path)!r} are not shown to be gone"
            f"{f' ({lost})' if lost else ''}: {', '.join(failed)}",
            done=gone,
            failed=failed,
        )
    return FileDeletion(gone=gone, absent_before=[name for name in wanted if name not in listed])


def _delete_batch(
    session: Session,
    path: RunPath,
    names: list[str],
    variables: dict[str, Any],
    guard: Callable[[], None],
) -> tuple[set[str], RequestError | None]:
    """Send one mutation; return the names that are still listed, and the error that its answer was."""
    attempts = 0
    while True:
        attempts += 1
        lost = send_once(session, DELETE_FILES, variables, guard=guard).lost
        try:
            for wait_s in (*reread_after_s(lost), None):
                left = {file.name for file in iter_files(session, path, exact=True)} & set(names)
                if wait_s is None or not left:
                    break
                session.sleep(wait_s)
        except WbgqlError as error:
            not_known(error, f"the deletion of files of {str(path)!r}", lost)
            raise
        if lost is None or attempts == 2 or refuses(lost) or left != set(names):
            return left, lost
