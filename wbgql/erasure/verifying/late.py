"""Looks for what came after the deletion: collections that bear the id of a hidden run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wbgql.artifacts import Collection, iter_collections
from wbgql.erasure.verifying.claims import Claims
from wbgql.errors import NotFound, PermissionDenied
from wbgql.paths import ProjectPath
from wbgql.wire.session import Session

_PREFIX = "run-"


def iter_late(session: Session, project: ProjectPath, claims: Claims) -> Iterator[tuple[int, Collection]]:
    """Yield collections named `run-<id>-...` that no plan knows, with the number of the run.

    The SDK names what a run logs by itself so (tables, for one); those of the server's own are looked for by
    name elsewhere. Sends ceil(n / 200) requests for a project with n collections.

    Source: `run-<id>-<key>`, wandb SDK 0.31.0 `sdk/data_types/utils.py` (2026-11).
    """
    runs = claims.runs.get(project, {})
    try:
        for collection in iter_collections(session, project):
            number = _run_of(collection.name, runs)
            if number is None or collection.version_count == 0 or collection.type.startswith("wandb-"):
                continue
            if collection.name not in claims.known[number]:
                yield number, collection
    except (NotFound, PermissionDenied):
        return


def _run_of(name: str, runs: Mapping[str, int]) -> int | None:
    """The number of the run whose id stands in a name; an id may hold dashes itself."""
    if not name.startswith(_PREFIX):
        return None
    parts = name.removeprefix(_PREFIX).split("-")
    ids = ("-".join(parts[:length]) for length in range(len(parts) - 1, 0, -1))
    return next((runs[run_id] for run_id in ids if run_id in runs), None)
