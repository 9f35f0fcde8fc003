"""Versions whose run is gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wbgql.artifacts.listing import VersionQuery, iter_versions
from wbgql.artifacts.nodes import CreatedByRun, Version
from wbgql.paths import ProjectPath
from wbgql.wire.session import Session


@dataclass(frozen=True, slots=True)
class Orphan:
    """A version whose run is gone. `user` made it, through that run or without one.

    `sure`: it was logged at a step of a run, so there was a run. Without that mark the server cannot
    tell a deleted run from a person who logged the version without one.
    """

    version: Version
    user: str | None
    sure: bool


def iter_orphans(session: Session, path: ProjectPath, *, type: str | None = None) -> Iterator[Orphan]:
    """Yield the versions of a project whose run is gone, lazily. Costs what listing the versions costs.

    A run is gone when it is deleted or hidden from this key: the server then answers with its user, or
    with nobody.

    Raises:
        NotFound: the project is missing or not visible.

    Source: the creator of a version whose run was deleted is shown as a user (wandb/wandb#10459).
    """
    for version in iter_versions(session, path, VersionQuery(type=type)):
        if not isinstance(version.created_by, CreatedByRun):
            yield Orphan(version, version.user, sure=version.history_step is not None)
