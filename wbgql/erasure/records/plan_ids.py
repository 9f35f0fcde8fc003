"""Compares the ids of a plan with what the plan says they are. No I/O.

The server is sent ids, and people approve paths. If an id can be decoded, the two must agree. An id that
cannot be decoded is no contradiction. In both cases the server must confirm it before anything is deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from wbgql.scalars import parse_id, parse_run_storage_id

if TYPE_CHECKING:
    from wbgql.erasure.records.plan import PlannedArtifact, PlannedRun

# Versions of such types are the server's own: it makes them by itself, some of them days after a run has
# ended. Source: W&B docs, artifact TTL; staff in wandb/server#160 (2026).
SYSTEM_PREFIX = "wandb-"
_RUN, _VERSION, _FILE, _COLLECTION = {"Run", "BucketType"}, {"Artifact"}, {"File"}, {"ArtifactCollection"}
# Source: ids in public clients and their tests, 2023 to 2026.
_KNOWN = _RUN | _VERSION | _FILE | _COLLECTION | {"ArtifactFile", "ArtifactType", "Entity", "Project", "User"}
_REASONS = {"erase": {"exclusive", "aliased"}, "unlink": {"linked"}}


def find_contradictions(runs: Sequence[PlannedRun]) -> Iterator[str]:
    """Yield, in words, each id that is not the id of what the plan says. Quotes no value."""
    yield from _bad_run_ids(runs)
    numbers = {run.storage_id: number for number, run in enumerate(runs)}
    versions: set[str] = set()
    files: set[str] = set()
    for number, run in enumerate(runs):
        for place, artifact in enumerate(run.artifacts):
            where = f"`runs[{number}].artifacts[{place}]`"
            yield from _bad_id(f"{where}, its `id`,", artifact.id, _VERSION, versions)
            yield from _bad_version(where, artifact, number, numbers)
        for place, file in enumerate(run.files):
            yield from _bad_id(f"`runs[{number}].files[{place}].id`", file.id, _FILE, files)


def _bad_run_ids(runs: Sequence[PlannedRun]) -> Iterator[str]:
    seen: set[str] = set()
    for number, run in enumerate(runs):
        where = f"`runs[{number}].storage_id`"
        yield from _bad_id(where, run.storage_id, _RUN, seen)
        named = parse_run_storage_id(run.storage_id)
        if named is not None and named != (run.entity, run.project, run.id):
            yield f"{where} is the id of another run than the one that `runs[{number}]` names"


def _bad_id(where: str, text: str, kinds: set[str], seen: set[str]) -> Iterator[str]:
    if not text:
        yield f"{where} is empty"
    if text in seen:
        yield f"{where} is named twice"
    seen.add(text)
    if (parse_id(text) or [""])[0] in _KNOWN - kinds:
        yield f"{where} is the id of something else: it decodes to another type"


def _bad_version(where: str, version: PlannedArtifact, own: int, numbers: dict[str, int]) -> Iterator[str]:
    users = {numbers.get(user, -1) for user in version.users}
    if -1 in users:
        yield f"{where} says that a run which is not in the plan may use it and be ignored"
    if not users - {own, -1} <= set(version.with_runs):
        yield f"{where} does not wait for every run that uses it"
    for portfolio in version.links:
        yield from _bad_id(f"{where}, one of its `links`,", portfolio, _COLLECTION, set())
    if not version.goes:
        return
    if version.type.startswith(SYSTEM_PREFIX):
        yield f"{where} is the server's own and cannot go"
    if version.reason not in _REASONS[version.decision]:
        yield f"{where} goes for a reason that keeps a version"
    if bool(version.links) != (version.decision == "unlink"):
        yield f"{where} has links that do not fit its decision"
