"""Runs through the front door: created, changed, read, filtered, paged."""

from __future__ import annotations

import base64
import json
import uuid

import pytest
import requests

from tests.caller import UPSERT, Caller, new_project
from wbgql.server import add_team, add_user

LIST = """
query Runs($project: String, $filters: JSONString, $order: String, $first: Int, $after: String) {
  project(entityName: "admin", name: $project) {
    runCount(filters: $filters)
    runs(filters: $filters, order: $order, first: $first, after: $after) {
      totalCount
      edges { cursor node { name summaryMetrics(keys: ["acc", "val/loss", "a.b"]) config(keys: ["lr"]) } }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""


def lines_of(caller: Caller, project: str, name: str) -> list[str]:
    """The console lines of a run."""
    document = """
    query Lines($project: String, $name: String!) {
      project(entityName: "admin", name: $project) {
        run(name: $name) { logLines(first: 100) { edges { node { line } } } }
      }
    }
    """
    run = caller.ask(document, project=project, name=name)["project"]["run"]
    return [edge["node"]["line"] for edge in run["logLines"]["edges"]]


def names(answer: dict) -> list[str]:
    return [edge["node"]["name"] for edge in answer["project"]["runs"]["edges"]]


@pytest.fixture(scope="module")
def five(local_server) -> str:
    """A project of five runs, a to e, with acc 0 to 0.4."""
    caller = Caller(local_server.base_url, local_server.api_key)
    project = new_project()
    for index, name in enumerate("abcde"):
        caller.upsert(
            project,
            name=name,
            config={"lr": {"value": index}, "deep": {"value": {"x": index}}},
            summaryMetrics={"acc": index / 10, "val/loss": -index, "a": {"b": index}},
            tags=["even"] if index % 2 == 0 else ["odd"],
        )
    return project


def test_upsert_creates_the_project_and_the_run(caller):
    project = new_project()

    answer = caller.upsert(project, name="r1", config={"lr": {"value": 0.1}}, tags=["x"], notes="n")

    assert answer["inserted"] is True
    assert answer["bucket"]["project"] == {"name": project, "entity": {"name": "admin"}}
    run = caller.run(project, "r1")
    assert (run["state"], run["tags"], run["notes"]) == ("running", ["x"], "n")
    assert json.loads(run["config"]) == {"lr": {"value": 0.1}}
    assert base64.b64decode(run["id"]).decode() == f"Run:v1:r1:{project}:admin"
    assert run["user"] == {"username": "admin"}


def test_upsert_leaves_null_fields_as_they_are(caller):
    project = new_project()
    storage_id = caller.upsert(project, name="r1", tags=["x"], notes="n", summaryMetrics={"a": 1})["bucket"][
        "id"
    ]

    again = caller.ask(UPSERT, input={"id": storage_id, "displayName": "new", "tags": None})["upsertBucket"]

    assert again["inserted"] is False
    run = caller.run(project, "r1")
    assert (run["displayName"], run["tags"], run["notes"]) == ("new", ["x"], "n")
    assert json.loads(run["summaryMetrics"]) == {"a": 1}


def test_upsert_by_another_process_with_the_same_id_starts_the_run_again(caller):
    project = new_project()
    caller.upsert(project, name="r1")
    caller.log(project, "r1", {"_step": 0}, {"_step": 1})

    answer = caller.upsert(project, name="r1")

    assert answer["bucket"]["historyLineCount"] == 0
    assert len(caller.run(project, "r1")["history"]) == 2, "an upsert deletes nothing"
    caller.log(project, "r1", {"_step": 0, "new": True})
    run = caller.run(project, "r1")
    assert [json.loads(row) for row in run["history"]] == [{"_step": 0, "new": True}]
    assert run["historyLineCount"] == 1


def test_a_script_that_changes_its_tags_in_mid_run_keeps_its_rows(caller):
    """SDK 0.18.0 to 0.19.11 sends the fields of a new process then, and goes on at the next line."""
    project = new_project()
    caller.upsert(project, name="r1")
    caller.log(project, "r1", {"_step": 0}, {"_step": 1})

    caller.upsert(project, name="r1", tags=["late"])
    caller.log(project, "r1", {"_step": 2}, offset=2)
    caller.log(project, "r1", {"_step": 0}, offset=0)

    run = caller.run(project, "r1")
    assert [json.loads(row)["_step"] for row in run["history"]] == [0, 1, 2]
    assert (run["tags"], run["historyLineCount"]) == (["late"], 3)


def test_a_process_that_begins_a_run_again_begins_each_stream_when_it_sends_it(caller):
    project = new_project()
    caller.upsert(project, name="r1")
    caller.log(project, "r1", {"_step": 0})
    files = {"output.log": {"offset": 0, "content": ["one", "two", "three"]}}
    caller.stream(project, "r1", files=files, complete=True, exitcode=1)

    caller.upsert(project, name="r1")
    caller.stream(project, "r1", files={"output.log": {"offset": 0, "content": ["again"]}})

    run = caller.run(project, "r1")
    assert (run["state"], run["exitcode"], run["historyLineCount"]) == ("running", None, 1)
    assert lines_of(caller, project, "r1") == ["again"]


def test_a_member_cannot_begin_the_run_of_another_again(local_server, tmp_path):
    mark = uuid.uuid4().hex[:6]
    data = local_server.data
    ann, bob = (Caller(local_server.base_url, add_user(data, f"{name}-{mark}")) for name in ("ann", "bob"))
    for name in ("ann", "bob"):
        add_team(data, f"team-{mark}", member=f"{name}-{mark}", role="member")
    given = {"entityName": f"team-{mark}", "modelName": "p", "name": "r1", "jobProgram": "train.py"}
    ann.ask(UPSERT, input=given)
    chunk = {"offset": 0, "content": ['{"_step": 0}']}
    ann.stream("p", "r1", f"team-{mark}", files={"wandb-history.jsonl": chunk})

    answer = bob.ask(UPSERT, input=given)["upsertBucket"]

    assert answer["bucket"]["historyLineCount"] == 1


@pytest.mark.parametrize("fields", [{"jobProgram": None, "config": {"a": {"value": 1}}}, {"resumed": True}])
def test_upsert_in_the_middle_of_a_run_keeps_its_rows(caller, fields):
    project = new_project()
    storage_id = caller.upsert(project, name="r1")["bucket"]["id"]
    caller.log(project, "r1", {"_step": 0})

    if fields.pop("resumed", False):
        fields["id"] = storage_id
    answer = caller.upsert(project, name="r1", **fields)

    assert answer["bucket"]["historyLineCount"] == 1


def test_upsert_in_shared_mode_keeps_the_other_writers_rows(caller):
    project = new_project()
    caller.upsert(project, name="r1")
    caller.log(project, "r1", {"_step": 0})
    fields = {"modelName": project, "entityName": "admin", "name": "r1", "jobProgram": "train.py"}

    requests.post(
        f"{caller.base_url}/graphql",
        json={"query": UPSERT, "variables": {"input": fields}},
        auth=("api", caller.api_key),
        headers={"X-WANDB-USE-ASYNC-FILESTREAM": "true"},
        timeout=30,
    ).raise_for_status()

    assert len(caller.run(project, "r1")["history"]) == 1


def test_upsert_without_entity_takes_the_viewers_own(caller):
    answer = caller.upsert(new_project(), name="r1", entityName="")

    assert answer["bucket"]["project"]["entity"] == {"name": "admin"}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"entityName": "nobody"}, 404),
        ({"modelName": "a/b"}, 400),
        ({"name": "a/b"}, 400),
        ({"name": ".."}, 400),
        ({"modelName": "."}, 400),
        ({"name": "x" * 129}, 400),
        ({"config": "{"}, 400),
        ({"config": "[]"}, 400),
        ({"id": "bm90IGFuIGlk"}, 404),
    ],
)
def test_upsert_refuses(caller, fields, status):
    given = {"modelName": new_project(), "entityName": "admin", "name": "r1"} | fields

    answer = caller.post(UPSERT, input=given)

    assert answer.status_code == status
    assert answer.json()["errors"][0]["message"]
    assert answer.json()["data"] == {"upsertBucket": None}


def test_refused_upsert_leaves_nothing_behind(caller):
    project = new_project()

    assert caller.post(UPSERT, input={"modelName": project, "name": "r1", "config": "{"}).status_code == 400

    assert caller.run(project, "r1") is None


def test_missing_project_and_run_are_null(caller, five):
    assert caller.run("no-such-project", "a") is None
    assert caller.run(five, "no-such-run") is None
    document = '{ project(entityName: "nobody", name: "x") { id } }'
    assert caller.ask(document) == {"project": None}


def test_filters_order_and_count(caller, five):
    filters = json.dumps({"summary_metrics.acc": {"$gt": 0.1}, "tags": "even"})

    answer = caller.ask(LIST, project=five, filters=filters, order="-summary_metrics.acc")

    assert names(answer) == ["e", "c"]
    assert answer["project"]["runCount"] == answer["project"]["runs"]["totalCount"] == 2


def test_projection_gives_the_wanted_keys_alone(caller, five):
    answer = caller.ask(LIST, project=five, filters='{"name": "c"}')

    (edge,) = answer["project"]["runs"]["edges"]
    assert json.loads(edge["node"]["summaryMetrics"]) == {"acc": 0.2, "val/loss": -2, "a.b": 2}
    assert json.loads(edge["node"]["config"]) == {"lr": {"value": 2}}


def test_projection_of_one_run_is_the_same_as_in_a_page(caller, five):
    document = """query R($p: String) { project(entityName: "admin", name: $p) { run(name: "c") {
        summaryMetrics(keys: ["acc", "val/loss", "a.b"]) config(keys: ["lr"]) } } }"""

    run = caller.ask(document, p=five)["project"]["run"]

    assert json.loads(run["summaryMetrics"]) == {"acc": 0.2, "val/loss": -2, "a.b": 2}
    assert json.loads(run["config"]) == {"lr": {"value": 2}}


@pytest.mark.parametrize(
    "key", ['a"b', "a'b", "a\\b", "a\nb", "", "$", "[0]", "text", "ключ", "a.b.c", ".", "a b"]
)
def test_projection_reaches_every_key(caller, key):
    project = new_project()
    caller.upsert(project, name="r1", summaryMetrics={key: True, "other": 1}, config={key: {"value": [1]}})
    document = """query R($p: String, $keys: [String!]) { project(entityName: "admin", name: $p) {
        runs { edges { node { summaryMetrics(keys: $keys) config(keys: $keys) } } } } }"""

    (edge,) = caller.ask(document, p=project, keys=[key])["project"]["runs"]["edges"]

    assert json.loads(edge["node"]["summaryMetrics"]) == {key: True}
    assert json.loads(edge["node"]["config"]) == {key: {"value": [1]}}


@pytest.mark.parametrize("use_edge", [True, False])
def test_both_kinds_of_cursor_lead_to_the_next_page(caller, five, use_edge):
    seen, after = [], None
    for _ in range(3):
        answer = caller.ask(LIST, project=five, order="+created_at", first=2, after=after)
        seen += names(answer)
        connection = answer["project"]["runs"]
        after = connection["edges"][-1]["cursor"] if use_edge else connection["pageInfo"]["endCursor"]

    assert seen == ["a", "b", "c", "d", "e"]
    assert connection["pageInfo"]["hasNextPage"] is False


def test_a_page_is_the_same_whether_the_executor_makes_it_or_not(caller, five):
    document = """query R($p: String, $no: Boolean = false, $keys: [String!]) {
        project(entityName: "admin", name: $p) { runs(order: "+created_at") { edges { at: cursor node {
        ...Parts summary: summaryMetrics(keys: $keys) config @skip(if: $no) historyKeys @include(if: $no)
        project { name entityName } readOnly %s } } } } }
        fragment Parts on Run { id name displayName state tags createdAt heartbeatAt updatedAt group jobType
        sweepName commit notes description historyLineCount projectId stopped user { username name } }"""

    quick = caller.ask(document % "", p=five, keys=["acc"])["project"]["runs"]["edges"]
    whole = caller.ask(document % "running", p=five, keys=["acc"])["project"]["runs"]["edges"]

    assert all(edge["node"].pop("running") for edge in whole)
    assert quick == whole
    assert [list(edge["node"]) for edge in quick] == [list(edge["node"]) for edge in whole]


def test_page_of_zero_counts_without_rows(caller, five):
    answer = caller.ask(LIST, project=five, first=0)

    assert answer["project"]["runs"]["edges"] == []
    assert answer["project"]["runs"]["totalCount"] == 5


@pytest.mark.parametrize(
    "variables",
    [
        {"filters": "{"},
        {"filters": '{"state": {"$foo": 1}}'},
        {"filters": '{"summary.acc": 1}'},
        {"order": "+no_such_column"},
        {"after": "garbage"},
        {"first": -1},
    ],
)
def test_bad_arguments_are_refused_with_400(caller, five, variables):
    answer = caller.post(LIST, project=five, **variables)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"] == {"code": "BAD_REQUEST"}


def test_unknown_field_is_refused_with_400(caller):
    answer = caller.post("{ viewer { shoeSize } }")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"].startswith('Cannot query field "shoeSize" on type "User".')


@pytest.mark.parametrize(
    "document",
    [
        'mutation { deleteView(input: { id: "x" }) { success } }',
        '{ project(entityName: "admin", name: "%s") { parameterImportance(target: "x") } }',
    ],
)
def test_what_is_not_offered_is_refused_and_not_retried(caller, five, document):
    answer = caller.post(document.replace("%s", five))

    assert answer.status_code == 501
    assert "does not offer" in answer.json()["errors"][0]["message"]


def test_undeclared_variables_are_ignored(caller):
    assert caller.ask("{ viewer { username } }", surplus=1) == {"viewer": {"username": "admin"}}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"query": 1}', b"\xff"])
def test_a_body_that_is_no_request_is_refused_with_400(caller, body):
    answer = requests.post(f"{caller.base_url}/graphql", data=body, auth=("api", caller.api_key), timeout=30)

    assert answer.status_code == 400


def test_nan_is_kept_as_sent_and_is_a_string_for_filters(caller):
    project = new_project()
    caller.upsert(project, name="r1", summaryMetrics='{"loss": NaN, "big": Infinity}')

    assert '"loss": NaN' in caller.run(project, "r1")["summaryMetrics"]
    answer = caller.ask(LIST, project=project, filters='{"summary_metrics.loss": {"$lt": 1}}')
    assert names(answer) == []


def test_wandb_config_gives_what_resume_looks_for(caller):
    project = new_project()
    internal = {"t": {"1": [2]}, "m": []}
    caller.upsert(project, name="r1", config={"_wandb": {"value": internal}})
    document = """query R($p: String) { model(entityName: "admin", name: $p) { bucket(name: "r1", missingOk: true) {
        wandbConfig(keys: ["t"]) historyTail eventsTail historyLineCount eventsLineCount logLineCount
        summaryMetrics config } } }"""

    bucket = caller.ask(document, p=project)["model"]["bucket"]

    assert json.loads(bucket["wandbConfig"]) == {"t": {"1": [2]}}
    assert (bucket["historyTail"], bucket["eventsTail"], bucket["summaryMetrics"]) == ("[]", "[]", "{}")
    assert (bucket["historyLineCount"], bucket["eventsLineCount"], bucket["logLineCount"]) == (0, 0, 0)


def test_fields_of_a_project_name_paths_and_types(caller):
    project = new_project()
    caller.upsert(
        project,
        name="r1",
        config={"lr": {"value": 0.1}, "opt": {"value": {"name": "sgd"}}, "odd.key": {"value": None}},
        summaryMetrics={"val/loss": 1, "ok": True, "rows": [{"x": 1}]},
    )
    document = """query F($p: String, $pattern: String, $types: [String!], $columns: [String!]) {
        project(entityName: "admin", name: $p) { fields(pattern: $pattern, types: $types, columns: $columns) {
        edges { node { path type } } } } }"""

    def fields(**arguments: object) -> list[tuple[str, str]]:
        found = caller.ask(document, p=project, **arguments)["project"]["fields"]["edges"]
        return [(edge["node"]["path"], edge["node"]["type"]) for edge in found]

    assert fields() == [
        ("config.lr.value", "number"),
        ("config.odd.key.value", "nil"),
        ("config.opt.value.name", "string"),
        ("summary_metrics.ok", "boolean"),
        ("summary_metrics.rows", "list"),
        ("summary_metrics.val/loss", "number"),
    ]
    assert fields(pattern="loss") == [("summary_metrics.val/loss", "number")]
    assert fields(types=["boolean"]) == [("summary_metrics.ok", "boolean")]
    assert all(path.startswith("config") for path, _ in fields(columns=["config"]))


def test_tags_are_counted_under_a_filter(caller, five):
    document = """query T($p: String, $f: JSONString) {
        project(entityName: "admin", name: $p) { tagCounts(filters: $f) { name count } } }"""

    assert caller.ask(document, p=five)["project"]["tagCounts"] == [
        {"name": "even", "count": 3},
        {"name": "odd", "count": 2},
    ]
    counts = caller.ask(document, p=five, f='{"name": "b"}')["project"]["tagCounts"]
    assert counts == [{"name": "odd", "count": 1}]


def test_values_of_a_key_are_suggested(caller, five):
    document = """query S($p: String) { project(entityName: "admin", name: $p) {
        runKeySuggestions(keyPath: "config.lr.value") { value count } } }"""

    found = caller.ask(document, p=five)["project"]["runKeySuggestions"]

    assert {(one["value"], one["count"]) for one in found} == {(str(n), 1) for n in range(5)}


def test_tags_of_many_runs_change_by_filter(caller):
    project = new_project()
    for name in "ab":
        caller.upsert(project, name=name, tags=["old"])
    document = (
        """mutation M($input: ModifyRunsInput!) { modifyRuns(input: $input) { runsSQL { name tags } } }"""
    )
    given = {"projectName": project, "entityName": "admin", "filters": '{"name": "a"}'}

    caller.ask(document, input=given | {"addTags": ["new"], "removeTags": ["old"]})

    assert caller.run(project, "a")["tags"] == ["new"]
    assert caller.run(project, "b")["tags"] == ["old"]


def test_state_changes_only_along_the_allowed_ways(caller):
    project = new_project()
    storage_id = caller.upsert(project, name="r1")["bucket"]["id"]
    document = "mutation U($input: UpdateRunStateInput!) { updateRunState(input: $input) { success } }"

    caller.ask(document, input={"id": storage_id, "state": "failed"})
    again = caller.post(document, input={"id": storage_id, "state": "failed"})

    assert again.status_code == 400
    assert "invalid state transition" in again.json()["errors"][0]["message"]
    assert caller.run(project, "r1")["state"] == "failed"


def test_rewind_cuts_the_history_behind_a_step(caller):
    project = new_project()
    caller.upsert(project, name="r1")
    caller.log(project, "r1", *({"_step": step} for step in range(5)))
    for name in ("output.log", "wandb-events.jsonl", "wandb-summary.json"):
        caller.stream(project, "r1", files={name: {"offset": 0, "content": ['{"old": 1}', '{"old": 2}']}})
    document = (
        "mutation R($input: RewindRunInput!) { rewindRun(input: $input) { rewoundRun { historyLineCount } } }"
    )
    given = {
        "runName": "r1",
        "entityName": "admin",
        "projectName": project,
        "metricName": "_step",
        "metricValue": 2,
    }

    answer = caller.ask(document, input=given)

    assert answer["rewindRun"]["rewoundRun"] == {"historyLineCount": 3}
    assert len(caller.run(project, "r1")["history"]) == 3
    left = """query L($p: String) { project(entityName: "admin", name: $p) { run(name: "r1") {
        summaryMetrics systemMetrics logLineCount eventsLineCount events } } }"""
    assert caller.ask(left, p=project)["project"]["run"] == {
        "summaryMetrics": "{}", "systemMetrics": "{}", "logLineCount": 0, "eventsLineCount": 0, "events": [],
    }  # fmt: skip


def test_project_is_renamed_with_its_runs(caller):
    old, new = new_project(), new_project()
    caller.upsert(old, name="r1")
    document = "mutation R($input: RenameProjectInput!) { renameProject(input: $input) { project { name } } }"

    caller.ask(document, input={"entityName": "admin", "oldProjectName": old, "newProjectName": new})

    assert caller.run(old, "r1") is None
    assert caller.run(new, "r1")["name"] == "r1"


def test_deleted_project_is_gone_and_cannot_be_deleted_twice(caller):
    project = new_project()
    caller.upsert(project, name="r1")
    find = 'query P($p: String) { project(entityName: "admin", name: $p) { id } }'
    storage_id = caller.ask(find, p=project)["project"]["id"]
    document = "mutation D($input: DeleteModelInput!) { deleteModel(input: $input) { success } }"

    assert caller.ask(document, input={"id": storage_id}) == {"deleteModel": {"success": True}}

    assert caller.ask(find, p=project) == {"project": None}
    assert caller.post(document, input={"id": storage_id}).status_code == 404


def test_a_metric_asked_for_again_gets_an_index_and_the_same_answer(local_server, caller):
    project = new_project()
    caller.upsert(project, name="r1", summaryMetrics={"acc": 1})
    filters = '{"summary_metrics.acc": {"$gte": 1}}'

    answers = [names(caller.ask(LIST, project=project, filters=filters)) for _ in range(3)]

    assert answers == [["r1"]] * 3
