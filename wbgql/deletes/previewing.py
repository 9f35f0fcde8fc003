"""Say what a deletion would do to runs now: rights, target and holds, without a mutation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from wbgql.deletes.sending import look_up_many
from wbgql.errors import Held, NotVisible, PermissionDenied, StillLogging, UsageError
from wbgql.paths import ProjectPath, RunPath
from wbgql.progress import NoProgress, Progress
from wbgql.runs import RunNode
from wbgql.safety.gate import Gate
from wbgql.safety.holds import HoldRegister
from wbgql.wire.session import Session


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What `delete_run` would do to one run now: "hide", "refuse" with the reason, or "nothing"."""

    path: str
    would: Literal["hide", "refuse", "nothing"]
    reason: str | None = None
    state: str | None = None
    user: str | None = None
    storage_id: str | None = None


def preview_delete(
    session: Session, path: RunPath, *, holds: HoldRegister, force: bool = False, gate: Gate | None = None
) -> Preview:
    """Look one run up and put it before the gate; send no mutation. One request, and one for the rights.

    Raises:
        NotVisible: the project is missing or not visible.
    """
    return preview_deletes(session, [path], holds=holds, force=force, gate=gate)[0]


def preview_deletes(
    session: Session,
    paths: Sequence[RunPath],
    *,
    holds: HoldRegister,
    force: bool = False,
    gate: Gate | None = None,
    progress: Progress | None = None,
) -> list[Preview]:
    """Look runs up and put each before the gate; send no mutation. Return one preview per path, in order.

    One request for 25 runs of one project, and one per entity for the rights.

    Raises:
        NotVisible: no project is visible. If only some are not, the previews of their runs say so.
    """
    gate = gate or Gate(session, holds)
    progress = progress or NoProgress()
    by_project: dict[ProjectPath, list[RunPath]] = {}
    for path in dict.fromkeys(paths):
        by_project.setdefault(path.project_path, []).append(path)
    found: dict[RunPath, Preview] = {}
    unseen: list[NotVisible] = []
    for wanted in by_project.values():
        try:
            for seen in look_up_many(session, wanted):
                for path, node in seen.runs:
                    found[path] = _preview(path, node, bool(seen.read_only), gate, force=force)
                progress.report(len(found), len(paths))
        except NotVisible as error:
            unseen.append(error)
            left = [path for path in wanted if path not in found]
            found |= {path: Preview(path=str(path), would="nothing", reason=str(error)) for path in left}
    if unseen and len(unseen) == len(by_project):
        raise unseen[0]
    return [found[path] for path in paths]


def _preview(path: RunPath, node: RunNode | None, read_only: bool, gate: Gate, *, force: bool) -> Preview:
    if node is None:
        return Preview(path=str(path), would="nothing", reason="not there, or not visible")
    facts = {
        "state": node.state,
        "user": node.user.username if node.user else None,
        "storage_id": node.id,
    }
    try:
        gate.check(path, node, read_only=read_only, force=force)
    except (Held, PermissionDenied, StillLogging, UsageError) as error:
        return Preview(path=str(path), would="refuse", reason=str(error), **facts)
    return Preview(path=str(path), would="hide", **facts)
