"""GraphQL requests that cannot be right: refused with 400 and in words, whatever is wrong with them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.caller import UPSERT, Caller, new_project

RUNS = """
query Runs($entity: String, $project: String, $first: Int, $filters: JSONString, $order: String) {
  project(entityName: $entity, name: $project) {
    runs(first: $first, filters: $filters, order: $order) { edges { node { id name } } }
  }
}
"""
HISTORY = """
query History($project: String, $from: Int64) {
  project(entityName: "admin", name: $project) { run(name: "r") { history(minStep: $from) } }
}
"""
DELETE_RUN = "mutation D($input: DeleteRunInput!) { deleteRun(input: $input) { clientMutationId } }"
DELETE_FILES = "mutation D($input: DeleteFilesInput!) { deleteFiles(input: $input) { success } }"
MODIFY = """
mutation M($input: ModifyRunsInput!) { modifyRuns(input: $input) { runs { name tags } } }
"""
MODEL = "mutation D($input: DeleteModelInput!) { deleteModel(input: $input) { success } }"
TASK = "query T($id: ID!) { task(id: $id) { id } }"
OUTPUTS = """
query O($project: String, $filters: JSONString) {
  project(entityName: "admin", name: $project) { runOutputArtifactsCount(filters: $filters) }
}
"""


def refusal(answer: requests.Response) -> str:
    """The words of an answer that must be a 400 with errors and no word of the server's insides."""
    assert answer.status_code == 400, answer.text
    messages = [error["message"] for error in answer.json()["errors"]]
    assert messages
    assert not any("internal error" in one or "Traceback" in one for one in messages), messages
    return " ".join(messages)


@pytest.mark.parametrize(
    ("given_input", "words"),
    [
        ({"nam": "r"}, "unknown field 'nam'. Did you mean 'name'?"),
        ({"name": 5}, "at .name: String cannot represent a non string value: 5"),
        ({"name": {"deep": 1}}, "at .name: String cannot represent a non string value"),
        ({"tags": [["a"]]}, "at .tags[0]: String cannot represent a non string value"),
        ({"config": {"lr": 1}}, "at .config: JSONString cannot represent a non string value: {'lr': 1}"),
        ({"config": 5}, "at .config: JSONString cannot represent a non string value: 5"),
        ({"config": "{"}, "config cannot be read as JSON"),
        ({"config": "[]"}, "config is not a JSON object"),
        ({"config": "[" * 100_000}, "config cannot be read as JSON: nested deeper than 256 levels"),
        ({"summaryMetrics": '"x"'}, "summary is not a JSON object"),
        (None, "Expected value of non-null type 'UpsertBucketInput!'"),
        ("r", "Expected value of type 'UpsertBucketInput' to be an object"),
    ],
)
def test_an_input_that_the_schema_does_not_take_is_named(caller: Caller, given_input: Any, words: str):
    assert words in refusal(caller.post(UPSERT, input=given_input))


def test_a_required_variable_that_is_missing_is_named(caller: Caller):
    assert "Variable '$input' has invalid value" in refusal(caller.post(UPSERT))
    assert "to include required field 'id'" in refusal(caller.post(DELETE_RUN, input={}))


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"first": "5"}, "Int cannot represent non-integer value: '5'"),
        ({"first": 2**31}, "Int cannot represent non 32-bit signed integer value"),
        ({"first": -1}, "first is negative: -1"),
        ({"filters": {}}, "JSONString cannot represent a non string value: {}"),
        ({"filters": "{"}, "filters is not JSON"),
        ({"filters": '{"$and":[' * 5000}, "filters is not JSON: nested deeper than 256 levels"),
        ({"order": ["x"]}, "String cannot represent a non string value"),
        ({"entity": 7}, "Variable '$entity' has invalid value"),
    ],
)
def test_an_argument_of_a_page_of_runs_that_cannot_be_is_named(caller: Caller, variables, words):
    project = new_project()
    caller.upsert(project, name="r")

    assert words in refusal(caller.post(RUNS, **{"entity": "admin", "project": project} | variables))


@pytest.mark.parametrize("step", [2**63, "1", 1.5, True])
def test_a_step_is_a_whole_number_of_64_bits(caller: Caller, step: Any):
    assert "Int64 cannot represent" in refusal(caller.post(HISTORY, project="p", **{"from": step}))


def test_a_step_may_be_beyond_32_bits(caller: Caller):
    project = new_project()
    caller.upsert(project, name="r")
    caller.log(project, "r", {"_step": 2**40})

    found = caller.ask(HISTORY, project=project, **{"from": 2**40})

    assert len(found["project"]["run"]["history"]) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not a GraphQL request"),
        (b"{", "not a GraphQL request"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `query`"),
        (b'{"query": null}', "Expected `str`, got `null`"),
        (b'{"query": "{ viewer { id } }", "variables": []}', "Expected `object | null`, got `array`"),
        (b'{"query": "\xff"}', "not a GraphQL request"),
        (b'{"query": "", "variables": {"a": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"query": ""}', "Syntax Error"),
        (b'{"query": "{ viewer { id }"}', "Syntax Error"),
        (b'{"query": "{ nothing }"}', 'Cannot query field "nothing" on type "Query".'),
        (b'{"query": "{ project(nothing: 1) { id } }"}', "Unknown argument 'nothing'"),
        (b'{"query": "query A { viewer { id } }", "operationName": "B"}', "Unknown operation named 'B'"),
        (b'{"query": "query A { viewer { id } } query B { viewer { id } }"}', "Must provide operation name"),
        (b'{"query": "fragment F on User { id }"}', "Fragment 'F' is never used"),
        (b'{"query": "subscription { viewer { id } }"}', "subscription operation is not supported"),
    ],
)
def test_a_body_that_is_no_request_is_refused(caller: Caller, body: bytes, words: str):
    answer = requests.post(f"{caller.base_url}/graphql", data=body, auth=("api", caller.api_key), timeout=30)

    assert words in refusal(answer)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"files": 5}', b'{"exitcode": "x"}', b'{"files":' + b"[" * 100_000]
)
def test_a_stream_body_that_is_none_is_refused(caller: Caller, body: bytes):
    project = new_project()
    caller.upsert(project, name="r")
    url = f"{caller.base_url}/files/admin/{project}/r/file_stream"

    answer = requests.post(url, data=body, auth=("api", caller.api_key), timeout=30)

    assert "not a file_stream request" in refusal(answer)


def test_a_row_that_is_nested_too_deeply_is_refused_with_its_chunk(caller: Caller):
    project, row = new_project(), "[" * 100_000
    caller.upsert(project, name="r")

    answer = caller.stream(
        project, "r", files={"wandb-history.jsonl": {"offset": 7, "content": ['{"_step": 1}', row]}}
    )

    assert answer.status_code == 400
    assert answer.json()["error"] == (
        "line 8 of wandb-history.jsonl cannot be read as JSON: nested deeper than 256 levels"
    )
    assert caller.run(project, "r")["historyLineCount"] == 0


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    [
        "é",
        "UnVuOnYxOjo6",
        "QXJ0aWZhY3Q6OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk=",
        "RmlsZTo5OTk5OTk5OTk5OTk5OTk5OTk5OTk=",
    ]
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts)
def test_whatever_is_given_for_an_id_is_no_error_of_the_server(caller: Caller, text: str):
    answers = [
        caller.post(DELETE_RUN, input={"id": text}),
        caller.post(DELETE_FILES, input={"files": [text]}),
        caller.post(MODEL, input={"id": text}),
        caller.post(TASK, id=text),
    ]

    assert [one.status_code for one in answers] == [404, 400, 404, 200], [one.text for one in answers]


def test_null_among_the_ids_of_runs_is_none_of_them(caller: Caller):
    project = new_project()
    caller.upsert(project, name="r")
    given_ids = {"entityName": "admin", "projectName": project, "ids": [None, "r"], "addTags": ["new"]}

    assert caller.ask(MODIFY, input=given_ids)["modifyRuns"]["runs"] == [{"name": "r", "tags": ["new"]}]


def test_outputs_are_counted_for_runs_that_a_filter_on_their_state_finds(caller: Caller):
    project = new_project()
    caller.upsert(project, name="r")
    caller.log(project, "r", {"_step": 0})
    assert caller.stream(project, "r", complete=True, exitcode=0).status_code == 200

    counts = [
        caller.ask(OUTPUTS, project=project, filters=json.dumps({"state": state}))["project"]
        for state in ("finished", "running")
    ]

    assert counts == [{"runOutputArtifactsCount": 1}, {"runOutputArtifactsCount": 0}]
