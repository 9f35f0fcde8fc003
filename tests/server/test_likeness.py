"""The local server as awkward as others are: what each switch does, and that the client is not misled by it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

import wbgql as wb
from tests.caller import Caller, new_project
from wbgql.downloads.fetching import HttpFetcher
from wbgql.erasure.verifying.audit_logs import read_audit
from wbgql.errors import ConfigError, FilterWarning, PartialError
from wbgql.paths import ProjectPath
from wbgql.server import RunningServer, start
from wbgql.server.likeness.bulk_filters import cut
from wbgql.server.likeness.failing import Faults
from wbgql.server.likeness.switches import PRESETS, Likeness, preset
from wbgql.settings import Settings

MOVE = "mutation M($input: MoveRunsInput!) { moveRuns(input: $input) { task { id state progress } } }"
TASK = "query T($id: ID!) { task(id: $id) { state progress } }"
DELETE = "mutation D($input: DeleteRunsInput!) { deleteRuns(input: $input) { errors } }"
SAMPLE = """
query S($project: String, $run: String!, $specs: [JSONString!]!) {
  project(entityName: "admin", name: $project) { run(name: $run) { sampledHistory(specs: $specs) } }
}
"""


@pytest.fixture(scope="module")
def saas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with start(tmp_path_factory.mktemp("saas"), like="saas-2026", failing_reads=0) as server:
        yield server


@pytest.fixture(scope="module")
def deaf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Bulk mutations ignore their filter, some reads fail, and reads lag."""
    with start(
        tmp_path_factory.mktemp("deaf"), bulk_filters="ignored", failing_reads=6, stale_reads_s=0.4
    ) as server:
        yield server


def open_client(server: RunningServer) -> wb.Client:
    return wb.Client(settings=Settings(base_url=server.base_url, api_key=server.api_key))


def caller_of(server: RunningServer) -> Caller:
    return Caller(server.base_url, server.api_key)


def test_a_setting_wins_over_the_preset() -> None:
    assert Likeness(**{**preset("saas-2026"), "deleted_ids": 410}).deleted_ids == 410
    assert Likeness(**preset("saas-2026")) != Likeness(**preset(None)) == Likeness()
    with pytest.raises(ConfigError, match="saas-2026"):
        preset("saas-1999")


@pytest.mark.parametrize(
    "given",
    [{"lists": "maybe"}, {"failing_reads": -1}, {"stale_reads_s": 1e9}, {"stale_reads_s": float("nan")}],
)
def test_a_switch_that_cannot_be_meant_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))):
        Likeness(**given)


def test_each_switch_of_the_preset_is_one() -> None:
    assert {name for switches in PRESETS.values() for name in switches} <= set(Likeness.__dataclass_fields__)


# ---- bulk filters ----


@pytest.mark.parametrize(
    ("bulk_filters", "given", "obeyed"),
    [
        ("no-or", {"$or": [{"name": "a"}], "state": "finished"}, {"state": "finished"}),
        ("no-or", {"$and": [{"$or": [{"name": "a"}]}]}, {"$and": [{}]}),
        ("no-or", {"name": {"$in": ["a"]}}, {"name": {"$in": ["a"]}}),
        ("no-in", {"name": {"$in": ["a"]}}, {}),
        ("no-in", {"$or": [{"name": {"$in": ["a"]}}, {"name": "b"}]}, {"$or": [{}, {"name": "b"}]}),
        ("ignored", {"name": "a"}, {}),
        ("obeyed", {"$or": [{"name": "a"}]}, {"$or": [{"name": "a"}]}),
    ],
)
def test_what_is_left_of_a_filter(bulk_filters: str, given: Any, obeyed: Any) -> None:
    assert cut(given, bulk_filters) == obeyed


def test_an_or_that_is_ignored_deletes_all_and_the_client_sends_none(saas: RunningServer) -> None:
    caller, project = caller_of(saas), new_project()
    for name in ("a", "b", "c"):
        caller.upsert(project, name=name)
    with open_client(saas) as client:
        gone = client.delete_runs([f"admin/{project}/a", f"admin/{project}/b"], force=True)
        left = [run.id for run in client.runs(f"admin/{project}")]
        back = client.undelete_runs(f"admin/{project}", ["a", "b"])
    filters = json.dumps({"$or": [{"name": "a"}, {"name": "b"}]})
    caller.ask(DELETE, input={"entityName": "admin", "projectName": project, "filters": filters})

    assert [one.outcome for one in gone] == ["hidden", "hidden"]
    assert left == ["c"]
    assert back.restored == ["a", "b"]
    assert [caller.run(project, name) for name in "abc"] == [None, None, None]


# ---- moves ----


def move(caller: Caller, source: str, destination: str, name: str) -> str:
    given = {
        "sourceEntityName": "admin",
        "sourceProjectName": source,
        "destinationEntityName": "admin",
        "destinationProjectName": destination,
        "filters": json.dumps({"name": name}),
    }
    task = caller.ask(MOVE, input=given)["moveRuns"]["task"]
    assert (task["state"], task["progress"]) == ("RUNNING", 0)
    return str(task["id"])


def test_a_move_is_a_task_that_loses_runs_without_a_destination(saas: RunningServer) -> None:
    caller, source, destination = caller_of(saas), new_project(), new_project()
    for name in ("goes", "lost", "stays"):
        caller.upsert(source, name=name)
    caller.upsert(destination, name="there")
    tasks = [move(caller, source, destination, "goes"), move(caller, source, new_project(), "lost")]
    before = caller.run(source, "goes")
    deadline = time.monotonic() + 10
    while any(caller.ask(TASK, id=task)["task"]["state"] != "FINISHED" for task in tasks):
        assert time.monotonic() < deadline
        time.sleep(0.1)

    with open_client(saas) as client:
        moved = client.delete_run(f"admin/{source}/goes")
        lost = client.delete_run(f"admin/{source}/lost")

    assert before is not None
    assert caller.run(destination, "goes") is not None
    assert (moved.outcome, moved.found_at) == ("elsewhere", f"admin/{destination}/goes")
    assert lost.outcome == "absent_before"
    assert f"admin/{destination}" in lost.searched


# ---- lists, forks, audit log ----


def test_no_filter_finds_a_list_and_the_client_says_that_it_depends(saas: RunningServer) -> None:
    caller, project = caller_of(saas), new_project()
    caller.upsert(project, name="a", config={"layers": {"value": [64, 32]}, "lr": {"value": 1}})
    question = 'query Q($p: String, $f: JSONString) { project(name: $p, entityName: "admin") { runCount(filters: $f) } }'

    def count(**filters: Any) -> int:
        return int(caller.ask(question, p=project, f=json.dumps(filters))["project"]["runCount"])

    found = [
        count(**{"config.layers": 64}),
        count(**{"config.layers": [64, 32]}),
        count(**{"config.layers": {"$in": [64]}}),
        count(**{"config.layers": {"$elemMatch": {"$gt": 1}}}),
        count(**{"config.layers.0": 64}),
        count(**{"config.layers": {"$exists": True}}),
        count(**{"config.lr": 1}),
        count(tags={"$in": ["x"]}),
    ]
    with open_client(saas) as client, pytest.warns(FilterWarning, match=re.escape("wandb/wandb#10900")):
        assert list(client.runs(f"admin/{project}", where=wb.config["layers"] == 64)) == []
    layers = wb.config("layers", client_side=True)
    with open_client(saas) as client:
        decided = [run.id for run in client.runs(f"admin/{project}", where=layers.has(64), client_side=True)]

    assert found == [0, 0, 0, 0, 0, 1, 1, 0]
    assert decided == ["a"]


def test_a_fork_is_sampled_by_segment_and_may_exceed_the_samples(saas: RunningServer) -> None:
    caller, project = caller_of(saas), new_project()
    caller.upsert(project, name="base")
    caller.log(project, "base", *({"_step": step, "a": step} for step in range(20)))
    point = {"_wandb": {"value": {"branch_point": {"run_id": "base", "step": 9}}}}
    caller.upsert(project, name="fork", config=point)
    caller.log(project, "fork", *({"_step": step, "a": -step} for step in range(10, 30)), offset=10)

    spec = json.dumps({"keys": ["_step", "a"], "samples": 4})
    (rows,) = caller.ask(SAMPLE, project=project, run="fork", specs=[spec])["project"]["run"][
        "sampledHistory"
    ]
    with open_client(saas) as client:
        sampled = client.sample_history(f"admin/{project}/fork", ["a"], samples=4)

    assert [row["_step"] for row in rows] == [0, 3, 6, 9, 10, 16, 23, 29]
    assert len(list(sampled)) == 8


def test_a_paged_audit_log_is_read_to_its_end(saas: RunningServer) -> None:
    caller, project = caller_of(saas), new_project()
    begun = datetime.now(UTC)
    for name in ("a", "b", "c"):
        caller.upsert(project, name=name)
    with open_client(saas) as client:
        for name in ("a", "b"):
            client.delete_run(f"admin/{project}/{name}", force=True)
    given = {"limit": 1, "numDays": 1}
    page = requests.get(f"{saas.base_url}/audit_logs", given, auth=("api", saas.api_key), timeout=30).json()
    refused = requests.get(f"{saas.base_url}/audit_logs?numDays=8", auth=("api", saas.api_key), timeout=30)

    audit = read_audit(
        HttpFetcher(Settings(base_url=saas.base_url, api_key=saas.api_key)),
        saas.base_url,
        [ProjectPath("admin", project)],
        start=begun,
        end=datetime.now(UTC),
        sent=2,
        hidden=2,
    )

    assert page.keys() == {"audit_logs", "range_start_time", "range_end_time", "count", "next_cursor"}
    assert (page["count"], len(page["audit_logs"]), bool(page["next_cursor"])) == (1, 1, True)
    assert refused.status_code == 400
    assert audit is not None
    assert (audit.deletes, audit.unexplained, audit.missing) == (2, 0, 0)


# ---- faults and stale reads ----


def test_faults_come_by_count() -> None:
    faults = Faults(3)
    found = [faults.next() for _ in range(12)]

    assert [index for index, fault in enumerate(found, 1) if fault] == [3, 6, 9, 12]
    assert len(set(found) - {None}) == 4
    assert [Faults(0).next() for _ in range(9)] == [None] * 9


def test_reads_lag_and_fail_and_the_client_says_nothing_that_is_not_so(deaf: RunningServer) -> None:
    caller, project = caller_of(deaf), new_project()
    for name in ("a", "b", "c"):
        caller.upsert(project, name=name)
    with open_client(deaf) as client:
        time.sleep(0.6)  # until the replica has the runs
        first, second = (client.delete_run(f"admin/{project}/{name}", force=True) for name in "ab")
        left = sorted(run.id for run in client.runs(f"admin/{project}"))
        with pytest.raises(PartialError, match="not asked for") as raised:
            client.undelete_runs(f"admin/{project}", ["a"])

    assert (first.outcome, second.outcome) == ("hidden", "hidden")
    assert left == ["c"]
    assert (raised.value.done, raised.value.failed) == (("a",), ("b",))
