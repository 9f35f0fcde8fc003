"""Delete the artifact versions that a run logged, before the run is hidden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wbgql.deletes.artifacts import (
    ArtifactDeletion,
    ArtifactPreview,
    FoundVersion,
    delete_artifact,
    iter_outputs,
    preview_artifact,
)
from wbgql.deletes.batches import outcome_of, reason_of
from wbgql.errors import Held, Kept, NotFound, WbgqlError
from wbgql.paths import RunPath
from wbgql.safety.holds import HoldRegister
from wbgql.wire.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class WithArtifacts:
    """That the versions a run logged go with it, and what may go with them."""

    delete_aliases: bool = False
    delete_links: bool = False


def delete_outputs(
    session: Session,
    path: RunPath,
    run: str,
    rules: WithArtifacts,
    *,
    holds: HoldRegister,
    on_result: Callable[[ArtifactDeletion], object],
) -> None:
    """Delete the versions that a run logged first, one by one. `run` is its storage id.

    Kept and given to `on_result` as such: the server's own, those that another run logged first, those that a
    hold, an alias or a link keeps. One request for 100 versions, and three per version that is deleted.

    Raises:
        WbgqlError: a deletion failed; it was given to `on_result`, and the versions after it were not tried.
    """
    for version in list(iter_outputs(session, path)):
        try:
            _check_maker(version, run)
            deletion = delete_artifact(
                session,
                version,
                holds=holds,
                delete_aliases=rules.delete_aliases,
                delete_links=rules.delete_links,
            )
        except NotFound:
            deletion = ArtifactDeletion(path=version.path, outcome="absent_before", id=version.id)
        except (Held, Kept) as error:
            deletion = _failure(version, error)
        except WbgqlError as error:
            on_result(_failure(version, error))
            error.add_note(f"its artifact {version.path!r} failed, so run {str(path)!r} was not hidden")
            raise
        on_result(deletion)


def preview_outputs(
    session: Session, path: RunPath, run: str, rules: WithArtifacts, *, holds: HoldRegister
) -> list[ArtifactPreview]:
    """Say what `delete_outputs` would do now. One request for 100 versions; sends no mutation."""
    previews = []
    for version in iter_outputs(session, path):
        preview = preview_artifact(
            version, holds, delete_aliases=rules.delete_aliases, delete_links=rules.delete_links
        )
        if preview.would == "delete":
            try:
                _check_maker(version, run)
            except Kept as error:
                preview = ArtifactPreview(
                    path=version.path, id=version.id, would="keep", reason=str(error), type=preview.type
                )
        previews.append(preview)
    return previews


def _check_maker(version: FoundVersion, run: str) -> None:
    if version.made_by != run and not version.is_system:
        raise Kept(f"artifact {version.path!r} was logged first by another run; nothing was done")


def _failure(version: FoundVersion, error: WbgqlError) -> ArtifactDeletion:
    return ArtifactDeletion(
        path=version.path, outcome=outcome_of(error), id=version.id, reason=reason_of(error)
    )
