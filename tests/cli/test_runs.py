"""`wbgql runs list | count | show | update | tag | untag`, `whoami`, `projects`, `fields`."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.answers import VIEWER, fields, one_run, run, runs
from tests.fakes import error_reply, page
from wbgql.errors import ServerUnavailable


def test_list_prints_one_json_object_a_line_when_nobody_watches(command) -> None:
    got = command("runs", "list", "acme/vision", answers=[runs(run("a"), run("b"))])

    assert (got.code, got.err) == (0, "")
    assert [(row["id"], row["path"]) for row in got.rows] == [("a", "acme/vision/a"), ("b", "acme/vision/b")]
    assert "config" not in got.rows[0]


def test_list_sends_filter_order_projection_and_limit_to_the_server(command) -> None:
    got = command(
        "runs", "list", "acme/vision",
        "--where", 'summary["val/acc"] > 0.9', "--order", '-summary["val/acc"]',
        "--select", 'summary["val/acc"]', "--limit", "5",
        answers=[runs(run("a", summaryMetrics='{"val/acc": 0.95}'))],
    )  # fmt: skip

    (_, sent) = got.sent[0]
    assert json.loads(sent["filters"]) == {"summary_metrics.val/acc": {"$gt": 0.9}}
    assert (sent["order"], sent["summaryKeys"], sent["first"]) == ("-summary_metrics.val/acc", ["val/acc"], 5)
    assert got.rows[0]["summary"] == {"val/acc": 0.95}


def test_list_as_ids_feeds_another_command(command) -> None:
    assert (
        command("runs", "list", "acme/vision", "--format", "ids", answers=[runs(run("a"), run("b"))]).out
        == "acme/vision/a\nacme/vision/b\n"
    )


def test_list_as_json_is_one_array_also_when_empty(command) -> None:
    full = command("runs", "list", "acme/vision", "--format", "json", answers=[runs(run("a"), run("b"))])
    empty = command("runs", "list", "acme/vision", "--format", "json", answers=[runs()])

    assert [row["id"] for row in json.loads(full.out)] == ["a", "b"]
    assert json.loads(empty.out) == []


def test_list_as_csv_has_a_column_for_each_selected_key(command) -> None:
    got = command(
        "runs", "list", "acme/vision", "--format", "csv", "--select", 'summary["loss"]',
        answers=[runs(run("a", summaryMetrics='{"loss": -0.5}'), run("b", summaryMetrics="{}"))],
    )  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(got.out)))

    assert [row['summary["loss"]'] for row in rows] == ["-0.5", ""]


def test_csv_keeps_text_from_becoming_a_formula(command) -> None:
    node = run(
        "a", displayName="=HYPERLINK(1)", summaryMetrics='{"note": "@x", "loss": -1, "low": "-Infinity"}'
    )
    got = command(
        "runs", "list", "acme/vision", "--format", "csv",
        "--select", 'summary["note"]', "--select", 'summary["loss"]', "--select", 'summary["low"]',
        answers=[runs(node)],
    )  # fmt: skip
    row = next(csv.DictReader(io.StringIO(got.out)))

    assert row["display_name"] == "'=HYPERLINK(1)"
    assert [row[f'summary["{key}"]'] for key in ("note", "loss", "low")] == ["'@x", "-1", "-Infinity"]


def test_nan_is_written_as_the_string_the_server_stores(command) -> None:
    got = command("runs", "show", "acme/vision/a", answers=[one_run(run("a", summaryMetrics='{"x": NaN}'))])

    assert json.loads(got.out)["summary"] == {"x": "NaN"}


@pytest.mark.parametrize("format_", ["table", "json", "jsonl", "csv", "ids"])
def test_no_format_lets_a_name_drive_the_terminal(command, format_) -> None:
    node = run("a", displayName="\x1b[2Jboo\x9b1m \u202egnp.exe [red]x[/red]", tags=["\x07"])
    got = command("runs", "list", "acme/vision", "--format", format_, answers=[runs(node)])

    assert got.code == 0
    if format_ in ("table", "json", "jsonl"):
        assert not any(char in got.out for char in "\x1b\x07\x9b\u202e")
    if format_ == "table":
        assert "[red]x[/red]" in got.out
    if format_ == "jsonl":
        assert got.rows[0]["display_name"] == node["displayName"]


def test_a_misspelt_key_is_an_error_not_an_empty_list(command, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    got = command(
        "runs", "list", "acme/vision", "--where", 'summary["los"] < 1', "--format", "csv", "-o", str(target),
        answers=[runs(), fields("summary_metrics.loss")],
    )  # fmt: skip

    assert (got.code, got.out) == (2, "")
    assert got.err.startswith("error: no run of 'acme/vision' has summary[\"los\"]; did you mean")
    assert not target.exists()


def test_a_key_nothing_comes_near_to_is_a_warning_beside_the_empty_list(command) -> None:
    got = command(
        "runs", "list", "acme/vision", "--where", 'summary["los"] < 1', answers=[runs(), fields("config.zzzzzzzz.value")]
    )  # fmt: skip

    assert (got.code, got.out) == (0, "")
    assert got.err == "warning: no run of 'acme/vision' has summary[\"los\"]\n"


def test_count_prints_a_bare_number(command) -> None:
    got = command("runs", "count", "acme/vision", answers=[{"project": {"runCount": 7}}])

    assert (got.code, got.out) == (0, "7\n")


def test_count_of_a_misspelt_key_prints_no_number(command) -> None:
    got = command(
        "runs", "count", "acme/vision", "--where", 'summary["los"] < 1',
        answers=[{"project": {"runCount": 0, "others": 3, "all": 3}}, fields("summary_metrics.loss")],
    )  # fmt: skip

    assert (got.code, got.out) == (2, "")


@pytest.mark.parametrize("key", ["config.lrr", "config.lrr.value"])
@pytest.mark.parametrize(
    ("argv", "nothing"),
    [
        (("runs", "list"), runs()),
        (("runs", "count"), {"project": {"runCount": 0, "others": 3, "all": 3}}),
        (("runs", "best", "--by", "group", "--metric", "created_at"), runs()),
        (("history",), runs()),
    ],
    ids=["list", "count", "best", "history"],
)
def test_a_misspelt_key_in_filter_json_is_the_same_error(command, argv, nothing, key: str) -> None:
    answers = [nothing, fields("config.lr.value")]
    got = command(*argv, "acme/vision", "--filters", json.dumps({key: 0.1}), answers=answers)

    assert (got.code, got.out) == (2, "")
    assert got.err == "error: no run of 'acme/vision' has config.lrr; did you mean config.lr?\n"


def test_a_mistake_in_an_expression_points_at_it_and_sends_nothing(command) -> None:
    got = command("runs", "list", "acme/vision", "--where", 'state = "failed"')

    assert (got.code, got.sent) == (2, [])
    assert "^" in got.err


def test_output_replaces_a_file_whole_or_not_at_all(command, tmp_path: Path) -> None:
    target = tmp_path / "out" / "runs.jsonl"
    target.parent.mkdir()
    target.write_text("before")
    first = runs(run("a"), cursor="c1")
    listing = ("runs", "list", "acme/vision", "-o", str(target))

    broken = command(*listing, answers=[first, *[error_reply("boom", status=500)] * 3])
    kept = target.read_text()
    whole = command(*listing, answers=[first, runs(run("b"))])

    assert (broken.code, kept) == (9, "before")
    assert (whole.code, whole.out) == (0, "")
    assert [json.loads(line)["id"] for line in target.read_text().splitlines()] == ["a", "b"]
    assert [path.name for path in target.parent.iterdir()] == ["runs.jsonl"]


def test_output_into_a_folder_that_is_not_there_is_a_store_error(command, tmp_path: Path) -> None:
    got = command("runs", "list", "acme/vision", "-o", str(tmp_path / "no" / "x"), answers=[runs()])

    assert got.code == 14
    assert "cannot write to" in got.err


def test_output_to_a_device_does_not_replace_it(command) -> None:
    got = command("runs", "list", "acme/vision", "-o", "/dev/null", answers=[runs(run("a"))])

    assert (got.code, got.out) == (0, "")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("before", [True, False])
def test_global_options_work_before_and_after_the_command(command, before) -> None:
    given = ["--base-url", "http://127.0.0.1:1", "--timeout", "3", "--entity", "acme"]
    rest = ["runs", "list", "vision"]
    got = command(*(given + rest if before else rest + given), answers=[runs(run("a"))])

    assert got.settings == {"base_url": "http://127.0.0.1:1", "timeout_s": 3.0, "entity": "acme"}
    assert got.rows[0]["path"] == "acme/vision/a"


def test_update_sets_values_and_prints_the_run_as_read_back(command) -> None:
    before = run("a", config='{"old": {"value": 1}}', summaryMetrics="{}", notes=None)
    after = run("a", config='{"old": {"value": 1}, "lr": {"value": 0.1}}', summaryMetrics="{}", notes="n")
    changed = {"upsertBucket": {"inserted": False, "run": {"id": "storage-a", "name": "a", "project": None}}}
    got = command(
        "runs", "update", "acme/vision/a", "--notes", "n", "--set-config", "lr=0.1",
        answers=[one_run(before), changed, one_run(after)],
    )  # fmt: skip

    assert got.code == 0
    assert json.loads(got.sent[1][1]["config"]) == {"old": {"value": 1}, "lr": {"value": 0.1}}
    assert json.loads(got.out)["config"] == {"old": 1, "lr": 0.1}
    assert 'notes: null -> "n"\nconfig["lr"]: (none) -> 0.1\nchanged acme/vision/a\n' in got.err


def test_update_removes_keys_and_clears_attributes(command) -> None:
    before = run("a", group="g", config='{"person": {"value": "x"}, "m": {"value": {"a": 1, "b": 2}}}')
    after = run("a", config='{"m": {"value": {"b": 3}}}')
    changed = {"upsertBucket": {"inserted": False, "run": {"id": "storage-a", "name": "a", "project": None}}}
    got = command(
        "runs", "update", "acme/vision/a", "--unset-config", "person", "--unset-config", 'm["a"]',
        "--set-config", 'm["b"]=3', "--unset-group",
        answers=[one_run(before), changed, one_run(after)],
    )  # fmt: skip

    assert got.code == 0
    sent = {name: got.sent[1][1][name] for name in ("id", "name", "group", "config")}
    assert sent == {"id": "storage-a", "name": "a", "group": "", "config": '{"m":{"value":{"b":3}}}'}
    assert got.err.splitlines()[:4] == [
        'group: "g" -> ""',
        'config["m"]["b"]: 2 -> 3',
        'config["person"]: "x" -> (none)',
        'config["m"]["a"]: 1 -> (none)',
    ]


def test_update_shows_with_dry_run_what_it_would_do(command) -> None:
    node = run("a", config='{"m": {"value": {"a": 1}}}')
    asked = ("runs", "update", "acme/vision/a", "--dry-run")
    shown = command(*asked, "--set-config", 'm["b"]=2', answers=[one_run(node)])
    created = command(*asked, "--create", "--state", "finished", answers=[one_run(None)])

    assert (shown.code, shown.operations, created.code, created.operations) == (0, ["GetRun"], 0, ["GetRun"])
    assert json.loads(shown.out) == {
        "path": "acme/vision/a",
        "creates": False,
        "changes": [{"field": 'config["m"]["b"]', "after": 2}],
    }
    assert json.loads(created.out)["creates"] is True
    assert "nothing was sent" in shown.err


def test_update_refuses_to_drop_keys_of_an_object(command) -> None:
    node = run("a", config='{"m": {"value": {"a": 1, "b": 2}}}')
    got = command("runs", "update", "acme/vision/a", "--set-config", 'm={"a": 3}', answers=[one_run(node)])

    assert (got.code, got.operations) == (2, ["GetRun"])
    assert (
        """drops 'b'; name the key inside the object (('m', 'key'), on the command line m["key"])"""
        in got.err
    )


def test_update_takes_the_state_of_a_run_that_it_creates(command) -> None:
    made = {"upsertBucket": {"inserted": True, "run": {"id": "storage-a", "name": "a", "project": None}}}
    asked = ("runs", "update", "acme/vision/a", "--create")
    finished = command(*asked, "--state", "finished", answers=[one_run(None), made, one_run(run("a"))])
    running = command(*asked, answers=[one_run(None), made, one_run(run("a", state="running"))])
    wrong = command(*asked, "--state", "done")

    assert finished.sent[1][1]["state"] == "finished"
    assert "--state finished" in running.err
    assert (finished.code, running.code, wrong.code, wrong.sent) == (0, 0, 2, [])
    assert "--state finished" not in finished.err


def test_update_of_a_run_that_is_not_there_makes_none(command) -> None:
    got = command("runs", "update", "acme/vision/typo", "--notes", "n", answers=[one_run(None)])

    assert (got.code, got.operations) == (13, ["GetRun"])


@pytest.mark.parametrize("value", ["lr", "=1", "lr=adam", "lr={", "lr=" + "[" * 100_000])
def test_update_refuses_what_is_not_key_and_json(command, value) -> None:
    got = command("runs", "update", "acme/vision/a", "--set-config", value)

    assert (got.code, got.sent) == (2, [])


def test_update_refuses_a_key_named_twice_and_no_change_at_all(command) -> None:
    twice = command("runs", "update", "acme/vision/a", "--set-config", "a=1", "--set-config", "a=2")
    nothing = command("runs", "update", "acme/vision/a")

    assert (twice.code, nothing.code) == (2, 2)
    assert "names 'a' twice" in twice.err
    assert "nothing to change" in nothing.err


def test_tag_of_a_run_that_is_logging_exits_with_5(command) -> None:
    got = command("runs", "tag", "acme/vision/a", "keep", answers=[one_run(run("a", state="running"))])

    assert (got.code, got.operations) == (5, ["GetRun"])


def test_untag_sends_nothing_where_the_tag_is_not_there(command) -> None:
    got = command("runs", "untag", "acme/vision/a", "keep", answers=[one_run(run("a", tags=["other"]))])

    assert json.loads(got.out) == {"path": "acme/vision/a", "tags": ["other"]}
    assert got.operations == ["GetRun"]


def test_whoami_says_where_settings_came_from_and_hides_the_key(command) -> None:
    got = command("whoami", "--format", "json", answers=[VIEWER])
    table = command("whoami", "--format", "table", answers=[VIEWER])
    said = json.loads(got.out)

    assert (said["user"], said["host"], said["teams"]) == ("ada", "api.wandb.ai", ["acme"])
    assert said["settings"]["base_url"] == {"value": "https://api.wandb.ai", "from": "test file"}
    assert "k" * 40 not in got.out + table.out
    assert "https://api.wandb.ai (from test file)" in table.out


def test_json_is_short_for_format_json_and_the_last_of_both_counts(command) -> None:
    asked = command("whoami", "--format", "json", answers=[VIEWER]).out

    assert command("whoami", "--json", answers=[VIEWER]).out == asked
    assert command("whoami", "--format", "table", "--json", answers=[VIEWER]).out == asked
    assert command("whoami", "--json", "--format", "table", answers=[VIEWER]).out != asked
    assert json.loads(command("runs", "list", "acme/vision", "--json", answers=[runs(run("a"))]).out)


def test_projects_and_fields_are_lists_like_others(command) -> None:
    node = {"id": "1", "name": "vision", "entityName": "acme", "createdAt": "2026", "readOnly": False}
    page = {"projects": {"pageInfo": {"hasNextPage": False, "endCursor": None}, "edges": [{"node": node}]}}

    assert command("projects", "list", "acme", "--format", "ids", answers=[page]).out == "acme/vision\n"
    assert command("fields", "acme/vision", answers=[fields("config.lr.value")]).rows == [
        {"field": 'config["lr"]', "type": "number", "path": "config.lr.value"}
    ]


def test_a_server_that_is_down_exits_with_9(command) -> None:
    down = ServerUnavailable("refused", sent=False, retry_after_s=10_000.0)
    got = command("runs", "count", "acme/vision", answers=[down])

    assert (got.code, got.out) == (9, "")
    assert got.err == "error: refused\n"


def test_projects_of_an_entity_that_does_not_exist_exit_with_13(command) -> None:
    nothing = {"projects": page(())}
    missing = command("projects", "list", "nosuch", answers=[nothing, {"entity": None}])
    free = command(
        "projects", "list", "nosuch", answers=[nothing, {"entity": {"id": "E", "available": True}}]
    )
    empty = command("projects", "list", "new", answers=[nothing, {"entity": {"id": "E", "available": False}}])

    assert [(got.code, got.out) for got in (missing, free, empty)] == [(13, ""), (13, ""), (0, "")]
    assert "no entity 'nosuch'" in missing.err
    assert "the entity has no project that this key can see" in empty.err


def test_ids_of_projects_are_paths_that_other_commands_take(command) -> None:
    node = {"id": "P", "name": " lead", "entityName": "acme", "createdAt": "2026-01-01", "readOnly": None}
    listed = command("projects", "list", "acme", "--format", "ids", answers=[{"projects": page((node,))}])
    counted = command("runs", "count", listed.out.strip(), answers=[{"project": {"runCount": 1}}])

    assert listed.out == "acme/%20lead\n"
    assert counted.sent[0][1]["project"] == " lead"


def test_a_list_of_everything_has_every_attribute(command) -> None:
    node = run(
        "a", notes="n", host="h", updatedAt=None, computeSeconds=7, config="{}", summaryMetrics='{"x": 1}'
    )
    asked = ("runs", "list", "acme/vision", "--select", "*", "--format")
    as_json = command(*asked, "jsonl", answers=[runs(node)])
    as_csv = command(*asked, "csv", answers=[runs(node)])

    (row,) = as_json.rows
    assert [row[name] for name in ("notes", "host", "duration_s", "config", "summary")] == [
        "n",
        "h",
        7,
        {},
        {"x": 1},
    ]
    (cells,) = csv.DictReader(io.StringIO(as_csv.out))
    assert [cells[name] for name in ("notes", "host", "duration_s", "config")] == ["n", "h", "7", "{}"]


def test_a_misspelt_key_to_remove_changes_nothing(command) -> None:
    node = run("a", config='{"person": {"value": 1}}')
    got = command("runs", "update", "acme/vision/a", "--unset-config", "persn", answers=[one_run(node)])

    assert (got.code, got.operations) == (2, ["GetRun"])
    assert "has no config[\"persn\"] to remove; did you mean 'person'?" in got.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--order", '-summary["a.b"]'), 'write summary["a.b"], with --client-side, which reads every run'),
        (
            ("--where", 'summary["a.b"] > 1'),
            'write summary["a.b"], with --client-side, which reads every run',
        ),
        (
            ("--where", 'summary["a"].has(1)'),
            'the client can: write summary["a"].has(...), with --client-side',
        ),
        (("--where", 'summary["a"] == [1]'), "the client can, with --client-side"),
        (("--where", '1 in summary["a"]'), "the client can, with --client-side"),
        (("--order", 'summary["a"]', "--stable"), "--stable reads by creation time: leave out --order"),
        (("--select", 'step["a"]'), "`wbgql history --key KEY` reads them"),
        (("--where", "val/acc > 1"), 'write summary["val/acc"] for a metric'),
    ],
    ids=str,
)
def test_advice_on_the_command_line_is_spelt_as_options(command, argv: tuple[str, ...], said: str) -> None:
    got = command("runs", "list", "acme/vision", *argv)

    assert got.code == 2
    assert said in got.err
    assert "=True" not in got.err
    assert got.sent == []


def test_an_order_by_a_key_with_a_dot_works_as_the_advice_says(command) -> None:
    found = [run(name, summaryMetrics=json.dumps({"a.b": value})) for name, value in (("x", 1), ("y", 2))]
    argv = ("--order", '-summary["a.b"]', "--client-side", "--limit", "1")

    got = command("runs", "list", "acme/vision", *argv, "--format", "json", answers=[runs(*found)])

    assert [row["id"] for row in json.loads(got.out)] == ["y"]


def test_fields_tell_a_dot_in_a_key_from_nesting(command) -> None:
    listed = fields("summary_metrics.metrics/mAP_0.5", "summary_metrics.loss.max", "config.a.b.value")
    counts = [
        {"project": {"runCount": 0, "others": 1, "all": 1}},
        {"project": {"runCount": 2, "others": 1, "all": 3}},
    ]

    got = command("fields", "acme/vision", answers=[listed, *counts])

    assert [row["field"] for row in got.rows] == [
        'summary["metrics/mAP_0.5"]',
        'summary["loss"]["max"]',
        'config["a.b"]',
    ]
