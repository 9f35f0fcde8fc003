"""What one run holds must not spoil the reading of others: it is refused on the way in, or served alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pyarrow.parquet as pq
import pytest
import requests

import wbgql as wb
from tests.caller import UPSERT, Caller, new_project
from wbgql.errors import ResultError
from wbgql.server import RunningServer, start

HISTORY, EVENTS = "wandb-history.jsonl", "wandb-events.jsonl"


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with start(tmp_path_factory.mktemp("poison") / "store") as running:
        yield running


@pytest.fixture
def caller(server: RunningServer) -> Caller:
    return Caller(server.base_url, server.api_key)


# ---- on the way in ----


@pytest.mark.parametrize("field", ["config", "summaryMetrics"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (nested(201), "nested deeper than 200 levels"),
        (nested(900), "nested deeper than 256 levels"),
        ('{"x":' + "[" * 100_000, "nested deeper than 256 levels"),
        (f'{{"x": {"9" * 5000}}}', "cannot be read as JSON"),
    ],
    ids=["201", "900", "100000", "digits"],
)
def test_config_and_summary_that_nobody_could_read_are_refused(
    caller: Caller, field: str, text: str, words: str
) -> None:
    project = new_project()

    answer = caller.post(
        UPSERT, input={"modelName": project, "entityName": "admin", "name": "r", field: text}
    )

    assert answer.status_code == 400
    assert words in answer.json()["errors"][0]["message"]
    assert caller.run(project, "r") is None


@pytest.mark.parametrize(
    "row",
    [
        "x",
        "[]",
        '{"_step":0',
        '{"_step":1e308}',
        '{"_step":-1}',
        '{"_step":0.5}',
        '{"_step":NaN}',
        '{"_step":null}',
        '{"_step":"1"}',
        f'{{"_step":{2**63}}}',
        f'{{"_step":0,"a":{nested(900)}}}',
        f'{{"_step":0,"a":{"9" * 5000}}}',
    ],
    ids=lambda row: row[:20],
)
def test_a_row_that_nobody_could_read_is_refused_with_its_line(caller: Caller, row: str) -> None:
    project = new_project()
    caller.upsert(project, name="r")

    answer = caller.stream(project, "r", files={HISTORY: {"offset": 3, "content": ['{"_step":0}', row]}})

    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"line 4 of {HISTORY} ")
    assert caller.run(project, "r")["historyLineCount"] == 0


def test_a_depth_that_can_be_read_comes_back_whole(caller: Caller, server: RunningServer) -> None:
    project = new_project()
    caller.upsert(project, name="r", config=f'{{"a":{{"value":{nested(190)}}}}}', summaryMetrics=nested(200))
    caller.log(project, "r", {"_step": 0, "a": json.loads(nested(190))})

    run = client(server).run(f"admin/{project}/r")

    assert run.config == {"a": json.loads(nested(190))}
    assert run.summary == json.loads(nested(200))
    assert page(server, f"/admin/{project}/runs/r") == page(server, f"/admin/{project}") == 200


SUGGEST = "query S($project: String, $text: String!) { project(name: $project) { runKeySuggestions(keyPath: $text) { value } } }"
SAMPLE = """query S($project: String, $text: JSONString!) {
  project(name: $project, entityName: "admin") { run(name: "r") { sampledHistory(specs: [$text]) } }
}"""
RUNS = """query R($project: String, $text: JSONString) {
  project(name: $project, entityName: "admin") { runs(filters: $text) { totalCount edges { node { name } } } }
}"""
FILES = """query F($project: String, $text: String) {
  project(name: $project, entityName: "admin") { run(name: "r") { files(pattern: $text) { edges { node { name } } } } }
}"""
FIELDS = """query F($project: String, $text: String) {
  project(name: $project, entityName: "admin") { fields(pattern: $text) { edges { node { path } } } }
}"""


@pytest.mark.parametrize(
    ("document", "text", "status"),
    [
        (RUNS, '{"name": "\\ud800"}', 400),
        (RUNS, '{"config.\\udc00.value": 1}', 400),
        (RUNS, '{"name": {"$regex": "\\ud83d"}}', 400),
        (SAMPLE, '{"keys": ["x"], "minStep": 1e308}', 400),
        (SAMPLE, '{"keys": ["x"], "maxStep": "a"}', 400),
        (SAMPLE, '{"keys": ["x"], "samples": NaN}', 400),
        (SAMPLE, '{"keys": [{}]}', 400),
        (SAMPLE, '{"keys": ["\\ud800"]}', 200),
        (SAMPLE, "[" * 3000, 400),
        (FILES, "%a" * 30_000, 200),
        (FIELDS, "%a" * 30_000, 200),
        (SUGGEST, "config." + "a." * 30_000, 400),
    ],
)
def test_odd_arguments_are_refused_or_match_nothing(
    caller: Caller, document: str, text: str, status: int
) -> None:
    project = new_project()
    caller.upsert(project, name="r", config={"x": {"value": 1}})

    answer = caller.post(document, project=project, text=text)

    assert answer.status_code == status, answer.text[:300]
    assert "internal error" not in answer.text


# ---- a store of an earlier version that holds odd runs ----

ODD_TEXTS = {
    "deep": (nested(900), nested(900)),
    "broken": ("{", "[]"),
    "halves": ('{"\\ud800":{"value":"\\udc00"}}', '{"\\ud801":1}'),
    "steps": ("{}", '{"_step":1e308,"_runtime":1e308,"_timestamp":1e308}'),
}
ODD_ROWS = {
    "deep": f'{{"_step":0,"a":{nested(400)}}}',
    "broken": '{"_step":0,"a":',
    "halves": '{"_step":0,"a":"\\ud800"}',
    "steps": '{"_step":1e308,"a":1}',
}


@pytest.fixture(scope="module")
def odd(server: RunningServer) -> str:
    """A project with a good run, four odd ones, and one more good run."""
    caller, project = Caller(server.base_url, server.api_key), "odd"
    for name in ("first", *ODD_TEXTS, "last"):
        caller.upsert(project, name=name, config={"lr": {"value": 1}}, summaryMetrics={"x": 1})
        caller.log(project, name, {"_step": 0, "a": 1}, {"_step": 1, "a": 2})
    db = apsw.Connection(str(server.data / "wbgql.sqlite"))
    for name, (config, summary) in ODD_TEXTS.items():
        pk = db.execute("SELECT id FROM runs WHERE name = ?", (name,)).get
        db.execute("UPDATE run_texts SET config = ?, summary = ? WHERE run_id = ?", (config, summary, pk))
        db.execute("UPDATE history SET row = ? WHERE run_id = ? AND number = 0", (ODD_ROWS[name], pk))
    db.close()
    return project


def client(server: RunningServer) -> wb.Client:
    return wb.Client(base_url=server.base_url, api_key=server.api_key, entity="admin")


def page(server: RunningServer, path: str) -> int:
    headers = {"accept": "text/html"}
    return requests.get(
        server.base_url + path, auth=("api", server.api_key), headers=headers, timeout=30
    ).status_code


def wbgql(server: RunningServer, home: Path, *args: str) -> tuple[int, str, str]:
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "wbgql", *args],
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), **server.environment(home)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_every_page_shows_what_can_be_shown(server: RunningServer, odd: str) -> None:
    paths = ["", "?columns=config.a", "?columns=summary._step"]
    paths += [f"/runs/{name}{tab}" for name in ODD_TEXTS for tab in ("", "/system", "/logs", "/files")]

    assert {path: page(server, f"/admin/{odd}{path}") for path in paths} == dict.fromkeys(paths, 200)


def test_a_list_comes_whole_and_says_which_run_it_could_not_read(
    server: RunningServer, odd: str, tmp_path: Path
) -> None:
    code, out, err = wbgql(
        server, tmp_path, "runs", "list", f"admin/{odd}", "--select", "*", "--format", "json"
    )
    found = {run["id"]: run for run in json.loads(out)}

    assert code == 3
    assert "the config of run admin/odd/" in err
    assert set(found) == {"first", *ODD_TEXTS, "last"}
    assert found["first"]["config"] == found["last"]["config"] == {"lr": 1}
    assert found["deep"]["config"] is None
    assert found["deep"]["state"] == "running"


@pytest.mark.parametrize("name", ["deep", "broken"])
def test_a_run_is_shown_but_for_what_cannot_be_read(
    server: RunningServer, odd: str, tmp_path: Path, name: str
) -> None:
    code, out, err = wbgql(server, tmp_path, "runs", "show", f"admin/{odd}/{name}", "--format", "json")

    assert (code, json.loads(out)["config"], json.loads(out)["id"]) == (3, None, name)
    assert f"the config of run admin/odd/{name} cannot be read" in err


def test_a_run_that_cannot_be_read_raises_where_it_is_read_and_not_in_the_list(
    server: RunningServer, odd: str
) -> None:
    runs = {run.id: run for run in client(server).runs(f"admin/{odd}", select="*")}

    assert runs["first"].config == {"lr": 1}
    assert runs["deep"].raw_config == nested(900)
    with pytest.raises(ResultError, match="config of run admin/odd/deep cannot be read: nested deeper"):
        _ = runs["deep"].config
    with pytest.raises(ResultError, match="summary of run admin/odd/broken cannot be read"):
        _ = runs["broken"].summary


def test_histories_of_all_runs_come_and_the_odd_ones_are_named(
    server: RunningServer, odd: str, tmp_path: Path
) -> None:
    code, out, err = wbgql(server, tmp_path, "history", f"admin/{odd}", "--all", "--format", "jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row["run_id"], []).append(row["_step"])

    assert code == 3
    assert found["first"] == found["last"] == found["halves"] == [0, 1]
    assert "histories are not whole" in err


def test_histories_note_for_each_odd_run_why_it_is_not_whole(server: RunningServer, odd: str) -> None:
    reader = client(server)
    selection = reader.history(reader.runs(f"admin/{odd}"))
    list(selection)

    notes = {entry.run.run_id: entry.note for entry in selection.missing}
    assert set(notes) == {"deep", "broken"}
    assert "nested deeper than 256 levels" in (notes["deep"] or "")


def test_frames_and_files_hold_all_runs_and_name_the_odd_ones(
    server: RunningServer, odd: str, tmp_path: Path
) -> None:
    runs = client(server).runs(f"admin/{odd}", select="*")

    with pytest.warns(UserWarning, match="cannot be read as JSON: their keys are null; of .*'deep'"):
        runs.to_parquet(tmp_path / "runs.parquet")

    table = pq.read_table(tmp_path / "runs.parquet").to_pylist()
    lr = {row["id"]: row["config.lr"] for row in table}
    assert lr == {"first": 1, "last": 1, "deep": None, "broken": None, "halves": None, "steps": None}
