"""What a logging process sends, and what becomes of it."""

from __future__ import annotations

import json
import time

import pytest
import requests

from tests.caller import Caller, new_project
from wbgql.server import start


def row(step: int, **values: object) -> str:
    return json.dumps({"_step": step} | values)


@pytest.fixture
def project(caller) -> str:
    """A project with one fresh run, r1."""
    name = new_project()
    caller.upsert(name, name="r1")
    return name


def history(content: list[str], offset: int = 0) -> dict:
    return {"wandb-history.jsonl": {"offset": offset, "content": content}}


def test_a_chunk_sent_twice_changes_nothing(caller, project):
    for _ in range(2):
        caller.stream(project, "r1", files=history([row(0), row(1)]))
    caller.stream(project, "r1", files=history([row(2)], offset=2))

    run = caller.run(project, "r1")
    assert [json.loads(line)["_step"] for line in run["history"]] == [0, 1, 2]
    assert run["historyLineCount"] == 3


def test_of_rows_with_one_step_the_last_counts(caller, project):
    caller.stream(project, "r1", files=history([row(0, a=1), row(1, a=1), row(1, a=2)]))

    assert [json.loads(line)["a"] for line in caller.run(project, "r1")["history"]] == [1, 2]


def test_rows_are_kept_as_sent(caller, project):
    line = '{"_step": 0, "loss": NaN, "big": 1e400, "text": "\\u00e9"}'

    caller.stream(project, "r1", files=history([line]))

    assert caller.run(project, "r1")["history"] == [line]


def test_history_keys_are_counted_and_safe_to_repeat(caller, project):
    document = """query K($p: String) { project(entityName: "admin", name: $p) { run(name: "r1") {
        historyKeys sampledHistory(specs: ["{\\"keys\\":[\\"_step\\",\\"a\\"],\\"samples\\":10}"]) } } }"""
    rows = [
        '{"_step": 0, "a": 1, "b": "x"}',
        '{"_step": 1, "a": NaN}',
        '{"_step": 2, "b": {"_type": "image-file"}}',
    ]

    for _ in range(2):
        caller.stream(project, "r1", files=history(rows))
        run = caller.ask(document, p=project)["project"]["run"]
        keys = run["historyKeys"]
        assert keys["lastStep"] == 2
        assert keys["keys"]["a"]["typeCounts"] == [{"type": "number", "count": 2}]
        assert {one["type"] for one in keys["keys"]["b"]["typeCounts"]} == {"string", "image-file"}
        assert run["sampledHistory"] == [[{"_step": 0, "a": 1}, {"_step": 1, "a": "NaN"}]]


@pytest.mark.parametrize(
    "value",
    ["1" + "0" * 400, "-1e999", '"\\ud800"', "123456789012345678901234567890", "{}", '[{"_type": 1}]'],
)
def test_odd_values_can_be_logged_and_read(caller, project, value):
    document = """query K($p: String) { project(entityName: "admin", name: $p) { run(name: "r1") {
        historyKeys summaryMetrics(keys: ["a"]) sampledHistory(specs: ["{\\"keys\\":[\\"a\\"]}"]) } } }"""
    text = f'{{"_step": 0, "a": {value}, "_runtime": {value}}}'

    answer = caller.stream(
        project, "r1", files=history([text]) | {"wandb-summary.json": {"offset": 0, "content": [text]}}
    )

    assert answer.status_code == 200
    run = caller.ask(document, p=project)["project"]["run"]
    assert run["historyKeys"]["lastStep"] == 0
    assert list(run["sampledHistory"][0][0]) == list(json.loads(run["summaryMetrics"])) == ["a"]


def test_keys_of_nested_objects_are_joined_and_media_is_one_value(caller, project):
    document = (
        'query K($p: String) { project(entityName: "admin", name: $p) { run(name: "r1") { historyKeys } } }'
    )
    row = '{"_step": 0, "d": {"a": 1, "b": {"c": 2}, "e": {}}, "m": {"_type": "image-file", "size": 3}}'

    caller.stream(project, "r1", files=history([row]))

    keys = caller.ask(document, p=project)["project"]["run"]["historyKeys"]["keys"]
    assert {key: keys[key]["previousValue"] for key in keys} == {
        "_step": 0, "d.a": 1, "d.b.c": 2, "d.e": None, "m": None,
    }  # fmt: skip


def test_history_of_nothing_has_no_keys(caller, project):
    document = (
        'query K($p: String) { project(entityName: "admin", name: $p) { run(name: "r1") { historyKeys } } }'
    )

    assert caller.ask(document, p=project)["project"]["run"] == {"historyKeys": None}


def test_sampling_keeps_first_and_last(caller, project):
    caller.stream(project, "r1", files=history([row(step) for step in range(1000)]))
    document = """query H($p: String, $n: Int) { project(entityName: "admin", name: $p) { run(name: "r1") {
        history(samples: $n) page: history(minStep: 10, maxStep: 13) } } }"""

    run = caller.ask(document, p=project, n=5)["project"]["run"]

    assert [json.loads(line)["_step"] for line in run["history"]] == [0, 250, 500, 749, 999]
    assert [json.loads(line)["_step"] for line in run["page"]] == [10, 11, 12]


def test_console_lines_are_rewritten_in_place_and_taken_apart(caller, project):
    lines = ["2026-01-01T00:00:00.000001 10%", "ERROR 2026-01-01T00:00:01.000001 bad", "no time"]
    caller.stream(project, "r1", files={"output.log": {"offset": 0, "content": lines}})
    caller.stream(
        project, "r1", files={"output.log": {"offset": 0, "content": ["2026-01-01T00:00:00.000002 99%"]}}
    )
    document = """query L($p: String, $last: Int) { project(entityName: "admin", name: $p) { run(name: "r1") {
        logLineCount logLines(first: 10, last: $last) { edges { node { number line level timestamp } } } } } }"""

    run = caller.ask(document, p=project)["project"]["run"]
    tail = caller.ask(document, p=project, last=1)["project"]["run"]["logLines"]["edges"]

    assert run["logLineCount"] == 3
    assert [edge["node"]["line"] for edge in run["logLines"]["edges"]] == ["99%", "bad", "no time"]
    assert [edge["node"]["level"] for edge in run["logLines"]["edges"]] == [None, "error", None]
    assert [edge["node"]["number"] for edge in tail] == [2]


def test_summary_is_replaced_whole_and_seen_by_filters(caller, project):
    for text in ('{"a": 1, "b": 1}', '{"a": 2, "_wandb": {"runtime": 7}}'):
        caller.stream(project, "r1", files={"wandb-summary.json": {"offset": 0, "content": [text]}})
    document = """query R($p: String, $f: JSONString) {
        project(entityName: "admin", name: $p) { runs(filters: $f) { edges { node { summaryMetrics } } } } }"""

    (edge,) = caller.ask(document, p=project, f='{"summary_metrics.a": 2, "duration": 7}')["project"]["runs"][
        "edges"
    ]

    assert json.loads(edge["node"]["summaryMetrics"]) == {"a": 2, "_wandb": {"runtime": 7}}


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ({"complete": True, "exitcode": 0}, "finished"),
        ({"complete": True, "exitcode": 255}, "failed"),
        ({"preempting": True}, "preempting"),
        ({}, "running"),
    ],
)
def test_state_follows_the_stream(caller, project, body, state):
    assert caller.stream(project, "r1", **body).json() == {}

    assert caller.run(project, "r1")["state"] == state


def test_a_stopped_run_is_told_so(caller, project):
    storage_id = caller.run(project, "r1")["id"]
    caller.ask(
        "mutation S($input: StopRunInput!) { stopRun(input: $input) { success } }", input={"id": storage_id}
    )

    assert caller.stream(project, "r1").json() == {"stopped": True}


def test_writers_in_shared_mode_add_to_each_others_rows_and_summary(caller, project):
    for client in ("one", "two"):
        headers = {"X-WANDB-USE-ASYNC-FILESTREAM": "true", "X-WANDB-ASYNC-CLIENT-ID": client}
        files = history([row(0, **{client: 1}), row(1, **{client: float("nan")})])
        summary = {"wandb-summary.json": {"content": [json.dumps({client: 2, "both": client})]}}
        for _ in range(2):
            caller.stream(project, "r1", files=files | summary, headers=headers)

    run = caller.run(project, "r1")
    first, second = map(json.loads, run["history"])
    assert (first["_step"], first["one"], first["two"]) == (0, 1, 1)
    assert (second["_step"], set(second) & {"one", "two"}) == (1, {"one", "two"})
    assert json.loads(run["summaryMetrics"]) == {"one": 2, "two": 2, "both": "two"}


def test_console_pages_count_lines_over_gaps_and_writers(caller, project):
    for client, offset in (("one", 0), ("one", 7), ("two", 0)):
        headers = {"X-WANDB-USE-ASYNC-FILESTREAM": "true", "X-WANDB-ASYNC-CLIENT-ID": client}
        content = [f"{client} {offset + number}" for number in range(2)]
        caller.stream(
            project, "r1", files={"output.log": {"offset": offset, "content": content}}, headers=headers
        )
    document = """query L($p: String, $first: Int, $after: String, $last: Int) {
        project(entityName: "admin", name: $p) { run(name: "r1") {
        logLines(first: $first, after: $after, last: $last) {
        edges { node { line } } pageInfo { endCursor hasNextPage } } } } }"""

    def page(**variables):
        found = caller.ask(document, p=project, **variables)["project"]["run"]["logLines"]
        return [edge["node"]["line"] for edge in found["edges"]], found["pageInfo"]

    first, info = page(first=3)
    rest, end = page(first=3, after=info["endCursor"])
    assert first + rest == ["one 0", "one 1", "one 7", "one 8", "two 0", "two 1"]
    assert (info["hasNextPage"], end["hasNextPage"]) == (True, False)
    assert page(last=3)[0] == ["one 8", "two 0", "two 1"]


@pytest.mark.parametrize(
    "line", ['{"content": 5}', '{"content": "x", "level": []}', "{", '{"content": ' + "[" * 10_000]
)
def test_a_console_line_that_only_looks_structured_is_shown_as_it_is(caller, project, line):
    caller.stream(project, "r1", files={"output.log": {"content": [line]}})
    document = (
        'query L($p: String) { project(entityName: "admin", name: $p) { run(name: "r1") {'
        " logLines(first: 9) { edges { node { line level } } } } } }"
    )

    (edge,) = caller.ask(document, p=project)["project"]["run"]["logLines"]["edges"]

    assert edge["node"] == {"line": line, "level": None}
    url = f"{caller.base_url}/admin/{project}/runs/r1/logs"
    assert requests.get(url, auth=("api", caller.api_key), timeout=30).status_code == 200


def test_half_a_surrogate_pair_is_kept_and_shown_on_every_page(caller, project):
    row = r'{"half \ud800": 1, "_step": 0}'
    for name in ("wandb-history.jsonl", "wandb-events.jsonl", "wandb-summary.json"):
        assert caller.stream(project, "r1", files={name: {"content": [row]}}).status_code == 200

    assert json.loads(caller.run(project, "r1")["history"][0]) == json.loads(row)
    for page in ("", "/runs/r1", "/runs/r1/system"):
        answer = requests.get(
            f"{caller.base_url}/admin/{project}{page}", auth=("api", caller.api_key), timeout=30
        )
        assert answer.status_code == 200, page


def test_system_metrics_of_any_size_are_kept(caller, project):
    line = '{"system.cpu": 1e999, "system.big": 1' + "0" * 400 + "}"

    assert caller.stream(project, "r1", files={"wandb-events.jsonl": {"content": [line]}}).status_code == 200
    document = (
        'query S($p: String) { project(entityName: "admin", name: $p) { run(name: "r1") { systemMetrics } } }'
    )
    metrics = json.loads(caller.ask(document, p=project)["project"]["run"]["systemMetrics"])
    assert metrics == {"system.cpu": float("inf"), "system.big": 10**400}


@pytest.mark.parametrize(
    "body",
    [
        {"files": []},
        {"files": {"wandb-history.jsonl": {"content": [1]}}},
        {"files": {"output.log": {"offset": -1, "content": ["x"]}}},
        {"files": {"wandb-summary.json": {"content": ["{"]}}},
    ],
)
def test_a_body_of_another_form_is_refused_and_stores_nothing(caller, project, body):
    body = {"files": body["files"] and {**history([row(0)]), **body["files"]}}

    assert caller.stream(project, "r1", **body).status_code == 400

    assert caller.run(project, "r1")["historyLineCount"] == 0


def test_unknown_run_and_unknown_key_are_refused(caller, project):
    assert caller.stream(project, "no-such-run").status_code == 404
    assert caller.stream("no-such-project", "r1").status_code == 404
    assert Caller(caller.base_url, "x" * 40).stream(project, "r1").status_code == 401


def test_names_in_the_address_are_decoded(caller):
    project = "my proj é.x"
    caller.upsert(project, name="r 1")
    url = f"{caller.base_url}/files/admin/my%20proj%20%C3%A9.x/r%201/file_stream"

    answer = requests.post(url, json={"files": history([row(0)])}, auth=("api", caller.api_key), timeout=30)

    assert answer.status_code == 200
    assert caller.run(project, "r 1")["historyLineCount"] == 1


def test_a_silent_run_is_shown_as_crashed_and_revived_by_a_sign_of_life(tmp_path):
    with start(tmp_path / "store", heartbeat_timeout_s=0.3) as server:
        caller = Caller(server.base_url, server.api_key)
        caller.upsert("p", name="r1")
        caller.upsert("p", name="r2")
        caller.stream("p", "r2", preempting=True)
        document = """query C($f: JSONString) {
            project(entityName: "admin", name: "p") { runCount(filters: $f) } }"""
        time.sleep(0.7)

        crashed = caller.ask(document, f='{"state": "crashed"}')
        states = [caller.run("p", name)["state"] for name in ("r1", "r2")]
        caller.stream("p", "r1")

        assert crashed == {"project": {"runCount": 1}}
        assert states == ["crashed", "preempted"]
        assert caller.run("p", "r1")["state"] == "running"


def test_a_line_number_that_could_not_be_counted_is_refused(caller):
    project = new_project()
    caller.upsert(project, name="r1")

    last = caller.stream(project, "r1", files=history([row(0)], offset=2**31 - 2))
    beyond = caller.stream(project, "r1", files=history([row(1)], offset=2**31 - 1))

    assert (last.status_code, beyond.status_code) == (200, 400)
    assert "an offset is out of range" in beyond.text
    assert caller.run(project, "r1")["historyLineCount"] == 2**31 - 1
