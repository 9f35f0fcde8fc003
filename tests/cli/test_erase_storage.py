"""What `verify --storage local:DIR` says of ids that it finds as bytes."""

from __future__ import annotations

from tests.caller import Caller
from wbgql.cli.erase.storage import LocalStoreProbe
from wbgql.erasure.verifying.storage_probes import Thing
from wbgql.paths import ProjectPath
from wbgql.server import start

DELETE = "mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }"


def _look(folder, *others):
    """A run that was deleted and not purged, looked for; `others` are projects with a run of its id."""
    with start(folder) as server:
        caller = Caller(server.base_url, server.api_key)
        caller.ask(DELETE, id=caller.upsert("vision", name="doomed-run")["bucket"]["id"])
        for project in others:
            caller.upsert(project, name="doomed-run")
    thing = Thing(kind="run", project=ProjectPath("admin", "vision"), key="doomed-run")
    sights = LocalStoreProbe(folder, []).look([thing], [])
    return sights.things[thing], " ".join(sights.limits)


def test_the_runs_own_row_is_no_run_of_another_project(tmp_path):
    sight, limits = _look(tmp_path)

    assert sight.seen == "stored"
    assert "bytes" in sight.where
    assert "other projects" not in limits


def test_a_run_of_the_same_id_in_another_project_is_told(tmp_path):
    sight, limits = _look(tmp_path, "speech")

    assert sight.seen == "stored"
    assert "bytes" not in sight.where
    assert "1 ids stand in the store, and other projects have runs of the same ids" in limits
