"""Plans over the runs of a `World`, with fingerprints as the server gives them now."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.erasure.plans import KEY, make_plan, planned_artifact
from tests.stored import World
from wbgql.erasure.case.case import Case
from wbgql.erasure.case.files import save_case
from wbgql.erasure.ledger import Ledger
from wbgql.erasure.reading.facts import read_artifact_facts, read_run_facts
from wbgql.erasure.reading.fingerprints import artifact_fingerprint, fingerprint
from wbgql.erasure.records.plan import Plan, PlannedArtifact, PlannedFile, PlannedRun, Server
from wbgql.files import iter_files
from wbgql.paths import RunPath


def real_run(world: World, run_id: str, **fields: Any) -> PlannedRun:
    """A run as the server has it."""
    path = RunPath("admin", world.project, run_id)
    facts = read_run_facts(world.client.session, path)
    assert facts is not None
    given = {
        "entity": "admin",
        "project": world.project,
        "id": run_id,
        "storage_id": facts.run.id,
        "created_at": facts.run.created_at,
        "owner": facts.run.user.username if facts.run.user else None,
        "state": facts.run.state,
        "fingerprint": fingerprint(facts),
        "history_lines": facts.run.history_line_count,
        "file_count": facts.run.file_count,
        "size_bytes": facts.run.storage_bytes,
    }
    return PlannedRun(**{**given, **fields})


def real_artifact(world: World, artifact_id: str, position: int, **fields: Any) -> PlannedArtifact:
    """A version as the server has it; `users` and `links` go by the same plan."""
    facts = read_artifact_facts(world.client.session, artifact_id)
    assert facts is not None
    users, links = fields.get("users", []), fields.get("links", [])
    given = {
        "name": facts.name,
        "type": facts.type,
        "digest": facts.version.digest,
        "fingerprint": artifact_fingerprint(facts, users=users, links=links),
    }
    return planned_artifact(artifact_id, position, **{**given, **fields})


def real_files(world: World, run_id: str) -> list[PlannedFile]:
    """The files of a run."""
    listed = iter_files(world.client.session, RunPath("admin", world.project, run_id))
    return [PlannedFile(id=file.id, name=file.name, size_bytes=1) for file in listed]


def real_plan(
    world: World, runs: Iterable[str | PlannedRun], base_url: str | None = None, **fields: Any
) -> Plan:
    """A plan over runs of the world, made against its server or a proxy before it."""
    planned = [real_run(world, run) if isinstance(run, str) else run for run in runs]
    url = base_url or world.client.settings.base_url
    server = Server(base_url=url, deployment="wbgql-local", version=None, is_test=True)
    return make_plan(*planned, **{"server": server, "plan_id": world.project, **fields})


def real_case(tmp_path: Path, plan: Plan, database: str | None = None) -> Case:
    """A case on disk."""
    path = tmp_path / "plan.json"
    save_case(path, plan, KEY)
    url = database or f"sqlite:///{tmp_path / 'erasure.sqlite'}"
    return Case(path=path, plan=plan, key=KEY, ledger=Ledger.open(url))
