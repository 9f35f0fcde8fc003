"""Whatever a run is given, it is refused as a whole, or the run and its neighbours are read by API, pages and client."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wbgql as wb
from tests.caller import RUN, UPSERT, Caller, new_project
from wbgql.server import RunningServer

ODD_WORDS = st.sampled_from(
    [
        *(
            "",
            " ",
            "\0",
            "a\0b",
            "\u202e",
            "\ufeffx",
            "\u2028",
            "é" * 300,
            "x" * 5000,
            "<script>",
            "..",
            "../x",
            "/x",
        ),
        *(
            "\\",
            '"',
            "a.b",
            ".",
            "$",
            "_wandb",
            "_type",
            "_step",
            "value",
            "\U0001f600",
            "NaN",
            "a[0]",
            "%s",
            "\r\n",
        ),
    ]
)
WORDS = ODD_WORDS | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
# As JSON texts: what Python's own types cannot hold is in them too.
NUMBERS = st.sampled_from(
    [
        "0",
        "-1",
        "1e308",
        "-1e308",
        "1e999",
        "NaN",
        "-Infinity",
        "0.5",
        str(2**53),
        str(2**63),
        str(-(2**70)),
        "9" * 400,
    ]
)
LEAVES = (
    NUMBERS | WORDS.map(json.dumps) | st.sampled_from(["null", "true", '"\\ud800"', '"\\udc00x"', "{}", "[]"])
)
KEYS = WORDS.map(json.dumps) | st.sampled_from(
    ['"\\ud801"', '"_step"', '"_runtime"', '"_timestamp"', '"_type"']
)


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(KEYS, values), max_size=4)
    return pairs.map(lambda found: "{" + ",".join(f"{key}:{value}" for key, value in found) + "}")


VALUES = st.recursive(
    LEAVES,
    lambda inner: objects(inner) | st.lists(inner, max_size=3).map(lambda found: f"[{','.join(found)}]"),
    max_leaves=8,
)
DEEP = st.sampled_from([150, 199, 201, 300, 990]).map(lambda levels: '{"a":' * levels + "1" + "}" * levels)
OBJECTS = objects(VALUES) | objects(VALUES) | DEEP
ROWS = OBJECTS | st.tuples(LEAVES, VALUES).map(lambda two: f'{{"_step":{two[0]},"a":{two[1]}}}')


@pytest.fixture(scope="module")
def server(local_server: RunningServer) -> RunningServer:
    return local_server


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "config": OBJECTS,
            "summaryMetrics": OBJECTS,
            "displayName": WORDS,
            "notes": WORDS,
            "tags": st.lists(WORDS, max_size=3),
            "groupName": WORDS,
            "jobType": WORDS,
            "host": WORDS,
        },
    ),
    rows=st.lists(ROWS, max_size=3),
    events=st.lists(OBJECTS, max_size=2),
    console=st.lists(WORDS, max_size=2),
    files=st.lists(WORDS, max_size=2),
)
def test_what_is_stored_can_be_read(
    server: RunningServer,
    fields: dict[str, Any],
    rows: list[str],
    events: list[str],
    console: list[str],
    files: list[str],
) -> None:
    caller, project = Caller(server.base_url, server.api_key), new_project()
    caller.upsert(project, name="good", config={"lr": {"value": 1}})
    caller.log(project, "good", {"_step": 0, "a": 1})
    caller.upsert(project, name="odd")
    answers = [
        caller.post(
            UPSERT, input={"modelName": project, "entityName": "admin", "name": "odd"} | {name: value}
        )
        for name, value in fields.items()
    ]
    for name, content in (
        ("wandb-history.jsonl", rows),
        ("wandb-events.jsonl", events),
        ("output.log", console),
    ):
        answers += [
            caller.stream(project, "odd", files={name: {"offset": number, "content": [line]}})
            for number, line in enumerate(content)
        ]
    made = 'mutation M($p: String, $f: [String!]!) { createRunFiles(input: {entityName: "admin", projectName: $p, runName: "odd", files: $f}) { runID } }'
    answers.append(caller.post(made, p=project, f=files))
    assert {answer.status_code for answer in answers} <= {200, 400}, [answer.text[:200] for answer in answers]

    for name in ("good", "odd"):
        read = caller.post(RUN, entity="admin", project=project, name=name)
        assert (read.status_code, "errors" in read.json()) == (200, False), read.text[:300]
    pages = ["", *(f"/runs/odd{tab}" for tab in ("", "/system", "/logs", "/files", "/artifacts"))]
    for page in pages:
        shown = requests.get(
            f"{server.base_url}/admin/{project}{page}", auth=("api", server.api_key), timeout=30
        )
        assert shown.status_code == 200, (page, shown.text[:300])

    client = wb.Client(base_url=server.base_url, api_key=server.api_key, entity="admin")
    found = {run.id: run for run in client.runs(f"admin/{project}", select="*")}
    assert found["good"].config == {"lr": 1}
    assert isinstance(found["odd"].config, dict)
    assert isinstance(found["odd"].summary, dict)
    histories = client.history(client.runs(f"admin/{project}"))
    assert [row for path, row in histories if path.run_id == "good"] == [{"_step": 0, "a": 1}]
    assert set(client.runs(f"admin/{project}", select="*").to_arrow().column("id").to_pylist()) == {
        "good",
        "odd",
    }
