"""One run that logs everything the real wandb SDK can log, and what another process reads of it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.caller import Caller, new_project
from tests.sdk.sdk_process import TIMEOUT_S, run_sdk, start_module, start_sdk
from wbgql.server import RunningServer

pytestmark = pytest.mark.sdk

READ = """
import sys, wandb
run = wandb.Api().run(f"admin/{sys.argv[1]}/all")
names = ("now.txt", "end.txt", "live.txt", "sub/deep.txt", "o dd é#%.txt")
result = {
    "meta": [run.name, run.notes, run.tags, run.group, run.state, run.job_type],
    "config": run.config,
    "summary": run.summary._json_dict,
    "rows": list(run.scan_history()),
    "keys": run.history_keys,
    "by_key": run.history(keys=["loss", "deep.in.x", "dot.ted", "sla/shed"], pandas=False),
    "not_finite": run.history(keys=["nan", "inf", "ninf"], pandas=False),
    "over_epoch": run.history(keys=["val/acc"], x_axis="epoch", pandas=False),
    "part": [row["_step"] for row in run.scan_history(min_step=2, max_step=4)],
    "system": [run.history(stream="system", pandas=False)[0], run.system_metrics],
    "console": [[line.level, line.content] for line in run.console_logs()],
    "timed": [line.timestamp is not None for line in run.console_logs(last=1)],
    "last_line": [line.content for line in run.console_logs(last=1)],
    "files": {file.name: file.size for file in run.files(per_page=4)},
    "media": [file.name for file in run.files(pattern="media/images/%")],
    "contents": {name: run.file(name).download(root="down", replace=True).read() for name in names},
    "metadata": run.metadata["python"],
    "artifacts": sorted([one.type, one.name] for one in run.logged_artifacts()),
    "used": [one.name for one in run.used_artifacts()],
    "table": wandb.Api().artifact(f"admin/{sys.argv[1]}/run-all-table:latest").get("table").data[0][0],
    "urls": [run.url, run.file("now.txt").url],
}
"""


@pytest.fixture(scope="module")
def logged(local_server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a second process, with a cache of its own, reads of the run."""
    project, home = new_project(), tmp_path_factory.mktemp("logging")
    process = start_module(local_server, home / "writer", "tests.sdk.logs_everything", project)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, output
    return run_sdk(local_server, home / "reader", READ, project)


def test_what_was_changed_while_the_run_went_on_is_kept(logged):
    assert logged["meta"] == ["renamed", "noted", ["early", "later"], "g", "finished", None]
    assert logged["config"] == {
        "lr": 0.2, "opt": {"name": "sgd"}, "a.b": 1, "c/d": 2, "nan": None, "list": [1, 2], "late": 1,
    }  # fmt: skip
    assert logged["summary"]["by hand"] == {"deep": {"er": 1}}
    assert logged["summary"]["more"] == 2


def test_rows_keep_names_and_values_of_every_kind(logged):
    row = next(row for row in logged["rows"] if row["_step"] == 3)

    assert (row["deep"], row["dot.ted"], row["sla/shed"], row["ünïcode key"]) == ({"in": {"x": 3}}, 3, 3, 3)
    assert (row["word"], row["flag"], row["nothing"], row["big"]) == ("abc", True, None, 2**53 + 1)
    assert math.isnan(row["nan"])
    assert (row["inf"], row["ninf"]) == (math.inf, -math.inf)
    assert [row["_step"] for row in logged["rows"]] == list(range(9))
    assert logged["part"] == [2, 3]


def test_keys_are_read_alone_and_against_another_axis(logged):
    assert logged["by_key"][5] == {"_step": 5, "loss": 1 / 6, "deep.in.x": 5, "dot.ted": 5, "sla/shed": 5}
    assert logged["not_finite"] == [{"_step": 3, "nan": "NaN", "inf": "Infinity", "ninf": "-Infinity"}]
    assert [row["epoch"] for row in logged["over_epoch"]] == [0, 0, 1, 1, 2, 2]
    assert logged["keys"]["lastStep"] == 8
    assert logged["keys"]["keys"]["deep.in.x"]["previousValue"] == 5
    assert logged["keys"]["keys"]["image"]["typeCounts"] == [{"type": "image-file", "count": 1}]


def test_defined_metrics_have_the_summary_that_was_asked_for(logged):
    summary = logged["summary"]

    assert {kind: summary[f"bumpy_{kind}"] for kind in ("min", "max", "last", "first")} == {
        "min": {"min": 1}, "max": {"max": 9}, "last": {"last": 2}, "first": {"first": 5},
    }  # fmt: skip
    assert summary["bumpy_mean"]["mean"] == pytest.approx(4.5)
    assert "bumpy_none" not in summary
    assert summary["val/acc"] == {"max": 0.5}


def test_media_are_files_objects_in_the_history_and_tables(logged):
    kinds = {key: value["_type"] for key, value in logged["rows"][6].items() if isinstance(value, dict)}

    assert kinds == {
        "image": "image-file", "images": "images/separated", "histogram": "histogram", "html": "html-file",
        "table": "table-file", "audio": "audio-file", "cloud": "object3D-file", "curve_table": "table-file",
    }  # fmt: skip
    assert logged["rows"][6]["image"]["path"] in logged["media"]
    assert all(logged["files"][name] > 0 for name in logged["media"])
    assert logged["table"] == 1


def test_a_rewritten_console_line_is_kept_once_and_stderr_is_an_error(logged):
    assert logged["console"] == [["", "progress 100%"], ["", "after the bar"], ["error", "went wrong"]]
    assert (logged["last_line"], logged["timed"]) == (["went wrong"], [True])


def test_system_metrics_are_read_as_rows_and_as_the_latest(logged):
    first, latest = logged["system"]

    assert any(key.startswith("system.") for key in first)
    assert set(latest) >= {key for key in first if key.startswith("system.proc")}


def test_saved_files_hold_what_their_policy_says(logged):
    assert logged["contents"] == {
        "now.txt": "first", "end.txt": "second", "live.txt": "second", "sub/deep.txt": "first",
        "o dd é#%.txt": "first",
    }  # fmt: skip
    assert {"config.yaml", "wandb-summary.json", "wandb-metadata.json", "output.log"} < set(logged["files"])
    assert logged["metadata"].startswith("CPython")


def test_code_model_and_tables_are_artifacts_of_the_run(logged):
    kinds = [kind for kind, _ in logged["artifacts"] if kind != "wandb-history"]

    assert set(kinds) == {"code", "model", "run_table", "wandb-run-incremental-table"}
    assert logged["used"] == ["net:v0"]


def test_addresses_are_those_of_the_server_that_was_asked(logged, local_server):
    assert all(url.startswith(f"{local_server.base_url}/") for url in logged["urls"])


SHARED = """
import sys, time, wandb
from pathlib import Path
project, me, flag = sys.argv[1:]
settings = wandb.Settings(mode="shared", x_label=me, x_primary=me == "one", console="wrap", x_disable_stats=True,
                          x_update_finish_state=me == "one")
with wandb.init(project=project, id="both", settings=settings) as run:
    for step in range(3):
        run.log({f"{me}/x": step})
        print(f"{me} at {step}")
    while me == "one" and not Path(flag).exists():
        time.sleep(0.1)
Path(flag).touch()
"""
CONSOLE = """
query Console($project: String) { project(entityName: "admin", name: $project) { run(name: "both") {
  logLineCount logLines(first: 100) { edges { node { label line } } }
} } }
"""


def test_two_processes_share_a_run(local_server, tmp_path):
    """Shared mode: two processes log to one run at once, each with steps of its own; the first ends last."""
    project, flag = new_project(), str(tmp_path / "two is done")
    names = ("one", "two")
    for process in [start_sdk(local_server, tmp_path / me, SHARED, project, me, flag) for me in names]:
        output, _ = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0, output

    caller = Caller(local_server.base_url, local_server.api_key)
    run = caller.run(project, "both")
    rows = [json.loads(row) for row in run["history"]]
    assert [(row["_step"], row["one/x"], row["two/x"]) for row in rows] == [(0, 0, 0), (1, 1, 1), (2, 2, 2)]
    summary = json.loads(run["summaryMetrics"])
    assert (summary["one/x"], summary["two/x"], run["state"]) == (2, 2, "finished")
    console = caller.ask(CONSOLE, project=project)["project"]["run"]
    said = [(edge["node"]["label"], edge["node"]["line"]) for edge in console["logLines"]["edges"]]
    assert sorted(said) == [(me, f"{me} at {step}") for me in names for step in range(3)]
    assert console["logLineCount"] == 6
