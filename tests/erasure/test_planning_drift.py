"""Plans against a server whose schema lacks a field: what only informs stops nothing, what decides does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.erasure.planner import plan_runs, run_of
from tests.fakes import WithoutField
from tests.stored import World
from wbgql.client import Client
from wbgql.erasure.records.plan import Plan
from wbgql.errors import SchemaMismatch
from wbgql.wire.session import Session


def plan_without(world: World, folder: Path, field: str) -> Plan:
    world.run("gone")
    world.caller.upsert(world.project, name="gone", tags=["x"], state="finished")
    world.run("stays")
    transport = WithoutField(world.client.settings)
    transport.field = field
    with Client(settings=world.client.settings, session=Session(transport)) as client:
        return plan_runs(client, world.path, register=folder / "holds.json", where='"x" in tags')


@pytest.mark.parametrize("field", ["storageBytes", "fileCount"])
def test_what_only_informs_stops_no_plan_and_is_unknown_in_it(
    world: World, tmp_path: Path, field: str
) -> None:
    run = run_of(plan_without(world, tmp_path, field), "gone")

    assert {"storageBytes": run.size_bytes, "fileCount": run.file_count}[field] is None
    assert (run.size_bytes is None) + (run.file_count is None) == 1


def test_what_decides_stops_the_plan_and_is_named(world: World, tmp_path: Path) -> None:
    with pytest.raises(SchemaMismatch, match=r"has no Run\.outputArtifacts, which this operation cannot"):
        plan_without(world, tmp_path, "outputArtifacts")
