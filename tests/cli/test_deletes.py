"""`wbgql runs delete | undelete`: dry by default, explicit ids, and somebody's word before a mutation."""

from __future__ import annotations

import json

import pytest

from tests.cli.answers import DELETED, RETENTION, RIGHTS, UNDELETED, ids, run, seen, seen_many
from tests.fakes import Reply, error_reply
from wbgql.cli.shared.id_lines import to_line

HOST = ("--yes", "--host", "api.wandb.ai")
# Announcing asks for the rights; so does the library's own gate, before it sends anything.
HIDING = [RIGHTS, seen(run(), "r1", "c"), RIGHTS, RETENTION, DELETED, seen(None, "c")]


PLAN = ("erase", "plan", "--request", "DSR-1", "--basis", "gdpr-17", "-o", "plan.json")


def _mutations(got) -> list[str]:
    return [name for name in got.operations if name.startswith(("Delete", "Undelete"))]


def test_delete_is_a_dry_run_unless_told_otherwise(command) -> None:
    got = command("runs", "delete", "acme/vision/r1", answers=[RIGHTS, seen_many(run())])

    assert (got.code, _mutations(got)) == (0, [])
    assert got.rows == [{"path": "acme/vision/r1", "would": "hide", "state": "finished", "user": "ada"}]
    assert "dry run, nothing was sent; it would: hide 1. Add --apply to do it" in got.err


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (run(tags=["legal-hold"]), "refuse: run 'acme/vision/r1' carries the tag 'legal-hold'"),
        (run(state="running"), "refuse: run 'acme/vision/r1' is running"),
        (run(user={"username": "eve"}), "refuse: 'ada' (member) may not delete"),
        (None, "nothing: not there, or not visible"),
    ],
)
def test_dry_run_says_what_stands_in_the_way(command, node, why) -> None:
    got = command("runs", "delete", "acme/vision/r1", answers=[RIGHTS, seen_many(node)])

    assert got.code == 0
    assert got.rows[0]["would"].startswith(why)


def test_apply_says_first_where_and_as_whom(command) -> None:
    got = command("runs", "delete", "acme/vision/r1", "--apply", *HOST, answers=HIDING)

    assert got.code == 0
    told = dict(line.split(maxsplit=1) for line in got.err.splitlines()[:6])
    assert told == {
        "host": "api.wandb.ai (from test file)",
        "user": "ada (key from the caller)",
        "role": "member",
        "entity": "acme (from the command)",
        "project": "acme/vision",
        "runs": "1",
    }


def test_apply_prints_what_became_of_each_run_and_calls_it_hidden(command) -> None:
    got = command("runs", "delete", "acme/vision/r1", "--apply", *HOST, answers=HIDING)

    (row,) = got.rows
    assert (row["path"], row["outcome"], row["control"]) == ("acme/vision/r1", "hidden", "c")
    assert row["undo_until"].endswith("Z")
    assert _mutations(got) == ["DeleteRun"]
    assert "permanent" not in got.out + got.err


def test_undo_until_is_unknown_where_the_server_does_not_say(command) -> None:
    silent = [RIGHTS, seen(run(), "c"), RIGHTS, {"serverInfo": None}, DELETED, seen(None, "c")]
    got = command("runs", "delete", "acme/vision/r1", "--apply", *HOST, answers=silent)

    assert got.rows[0]["undo_until"] == "unknown"
    assert "can be brought back until: unknown" in got.err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ((), "nobody can be asked here"),
        (("--yes",), "--yes needs --host"),
        (
            ("--yes", "--host", "other.example"),
            "--host names 'other.example', but this would reach 'api.wandb.ai'",
        ),
        (("--host", "api.wandb.ai"), "nobody can be asked here"),
        (("--host", "api.forge.coreweave.com"), "nobody can be asked here"),  # the same deployment
        (("--host", "api.wandb.ai.example"), "--host names 'api.wandb.ai.example'"),
    ],
)
def test_apply_without_a_terminal_needs_yes_and_the_right_host(command, options, why) -> None:
    got = command("runs", "delete", "acme/vision/r1", "--apply", *options, answers=[RIGHTS])

    assert (got.code, _mutations(got), got.out) == (7, [], "")
    assert why in got.err


def test_a_dry_run_on_another_host_than_named_is_refused_too(command) -> None:
    assert command("runs", "delete", "acme/vision/r1", "--host", "other.example").code == 7


def test_on_a_terminal_the_phrase_must_be_typed(command) -> None:
    delete = ("runs", "delete", "acme/vision/r1", "--apply")
    wrong = command(*delete, answers=[RIGHTS], stdin="yes\n", interactive=True)
    silent = command(*delete, answers=[RIGHTS], stdin="", interactive=True)
    right = command(*delete, answers=HIDING, stdin="delete 1 run in acme/vision\n", interactive=True)

    assert (wrong.code, silent.code, right.code) == (7, 7, 0)
    assert _mutations(wrong) == _mutations(silent) == []
    assert "type 'delete 1 run in acme/vision' to go on: " in right.err


def test_yes_on_a_terminal_still_names_the_host(command) -> None:
    got = command("runs", "delete", "acme/vision/r1", "--apply", "--yes", answers=[RIGHTS], interactive=True)

    assert got.code == 7


@pytest.mark.parametrize("option", ["--where", "--filters", "--all", "--state"])
def test_there_is_no_filter_on_deletion(command, option) -> None:
    got = command("runs", "delete", "acme/vision", option, "x", "--apply")

    assert (got.code, got.sent) == (2, [])
    assert (
        "wbgql runs list PROJECT --where ... --format ids | wbgql runs delete PROJECT --ids-from -" in got.err
    )


def test_delete_without_a_run_says_how_to_name_them(command) -> None:
    got = command("runs", "delete")

    assert got.code == 2
    assert "--format ids" in got.err


def test_ids_from_stdin_lie_in_the_project_named(command) -> None:
    answers = [RIGHTS, seen_many(run("a"), run("b"))]
    stdin = "\ufeffa\r\n\n b \nacme/vision/a\n"
    got = command("runs", "delete", "acme/vision", "--ids-from", "-", answers=answers, stdin=stdin.encode())

    assert [row["path"] for row in got.rows] == ["acme/vision/a", "acme/vision/b"]


def test_whole_paths_need_no_project_and_may_hold_any_character(command) -> None:
    odd = ["run 1", "a\nb", "50%", "é#1", 'say "hi"', "it's", "a:b", "\\x41"]
    answers = [RIGHTS, seen_many(*map(run, odd))]
    stdin = "".join(f"{to_line(f'acme/vision/{name}')}\n" for name in odd)
    got = command("runs", "delete", "--ids-from", "-", answers=answers, stdin=stdin.encode())

    assert [row["path"] for row in got.rows] == [f"acme/vision/{name}" for name in odd]
    assert list(dict.fromkeys(got.sent[1][1][f"r{place}"] for place in range(25))) == odd
    assert "entity   acme (from the command)" in got.err


def test_a_list_of_a_project_called_runs_is_read_as_it_was_written(command) -> None:
    elsewhere = seen_many(run("a"), project="runs", entity="ada")
    stdin = b"ada/runs/a\n"
    got = command(
        "runs", "delete", "--ids-from", "-", "--entity", "acme", answers=[RIGHTS, elsewhere], stdin=stdin
    )

    assert [row["path"] for row in got.rows] == ["ada/runs/a"]


@pytest.mark.parametrize("argv", [("runs", "delete", "--apply", *HOST), ("runs", "delete"), PLAN])
def test_the_default_project_never_completes_a_list(command, argv, tmp_path) -> None:
    source = tmp_path / "ids.txt"
    source.write_text("a\n")
    command.defaults = {"entity": "acme", "project": "vision"}
    got = command(*argv, "--ids-from", str(source))

    assert (got.code, got.sent) == (2, [])
    assert "run id 'a' has no project, and the default project is not used for lists and deletions" in got.err


def test_ids_from_fall_under_the_project_option_of_the_same_command(command, tmp_path) -> None:
    source = tmp_path / "ids.txt"
    source.write_text("a\n")
    got = command(
        "runs", "delete", "--ids-from", str(source), "--entity", "acme", "--project", "vision",
        answers=[RIGHTS, seen_many(run("a"))],
    )  # fmt: skip

    assert got.rows[0]["path"] == "acme/vision/a"
    assert "entity   acme (from the caller)" in got.err


def test_what_delete_hid_is_printed_as_paths(command) -> None:
    got = command("runs", "delete", "acme/vision/r1", "--apply", *HOST, "--format", "ids", answers=HIDING)

    assert got.out == "acme/vision/r1\n"


@pytest.mark.parametrize(
    "line",
    [
        "other/vision/a",
        "│ a   │ x │",
        '{"id":"a"}',
        "a  b",
        "a?b",
        "a\x1bb",
        "x" * 100_000 + " y",
        "a/b/c/d/e",
    ],
)
def test_a_line_that_is_no_id_of_the_project_stops_everything(command, line) -> None:
    got = command("runs", "delete", "acme/vision", "--ids-from", "-", stdin=f"ok\n{line}\n".encode())

    assert (got.code, got.sent) == (2, [])


@pytest.mark.parametrize("stdin", [b"\xff\xfe\x00", b"a\xc3\n"])
def test_ids_that_are_not_text_are_a_usage_error(command, stdin) -> None:
    got = command("runs", "delete", "acme/vision", "--ids-from", "-", stdin=stdin)

    assert (got.code, got.sent) == (2, [])
    assert "not UTF-8" in got.err


def test_ids_from_a_file_that_is_not_there_is_a_usage_error(command, tmp_path) -> None:
    got = command("runs", "delete", "acme/vision", "--ids-from", str(tmp_path / "none"))

    assert got.code == 2
    assert "no such file" in got.err


def test_no_ids_is_nothing_to_do(command) -> None:
    got = command("runs", "delete", "acme/vision", "--ids-from", "-", "--apply", *HOST)

    assert (got.code, got.sent) == (0, [])
    assert "nothing to do" in got.err


def test_runs_of_several_projects_go_in_one_call_and_one_phrase(command) -> None:
    paths = ("acme/vision/a", "acme/audio/b", "acme/vision/c")
    previewed = [RIGHTS, seen_many(run("a"), run("c")), seen_many(run("b"), project="audio")]
    got = command("runs", "delete", *paths, answers=previewed)
    refused = command("runs", "delete", *paths, "--apply", answers=[RIGHTS], stdin="yes\n", interactive=True)

    assert [row["path"] for row in got.rows] == list(paths)
    assert "project  acme/vision (2), acme/audio (1)" in got.err
    assert "type 'delete 3 runs in 2 projects' to go on: " in refused.err
    assert (got.code, refused.code, _mutations(refused)) == (0, 7, [])


def test_a_project_that_is_not_visible_does_not_keep_the_others_from_being_shown(command) -> None:
    answers = [RIGHTS, {"project": None}, seen_many(run("b"), project="audio")]
    got = command("runs", "delete", "acme/typo/a", "acme/audio/b", answers=answers)
    alone = command("runs", "delete", "acme/typo/a", answers=[RIGHTS, {"project": None}])

    assert [row["would"].partition(":")[0] for row in got.rows] == ["nothing", "hide"]
    assert (got.code, alone.code) == (0, 10)


def test_a_preview_of_many_runs_costs_a_request_for_25(command) -> None:
    names = [f"r{number:03}" for number in range(60)]
    pages = [seen_many(*map(run, names[start : start + 25])) for start in (0, 25, 50)]
    got = command("runs", "delete", "acme/vision", "--ids-from", "-", answers=[RIGHTS, *pages],
                  stdin="\n".join(names).encode())  # fmt: skip

    assert got.operations == ["GetRights", *["LookUpManyRuns"] * 3]
    assert [row["path"] for row in got.rows] == [f"acme/vision/{name}" for name in names]


def test_a_held_run_exits_with_6_and_is_not_sent(command) -> None:
    answers = [RIGHTS, seen(run(tags=["legal-hold"]), "c"), RIGHTS]
    got = command("runs", "delete", "acme/vision/r1", "--apply", *HOST, answers=answers)

    assert (got.code, _mutations(got)) == (6, [])


def test_some_hidden_and_some_not_prints_those_and_exits_with_3(command) -> None:
    held = seen(run("b", tags=["legal-hold"]), "c")
    got = command(
        "runs", "delete", "acme/vision/r1", "acme/vision/b", "--apply", *HOST, answers=[*HIDING, held]
    )  # fmt: skip

    assert got.code == 3
    assert [(row["path"], row["outcome"]) for row in got.rows] == [
        ("acme/vision/r1", "hidden"), ("acme/vision/b", "held"),
    ]  # fmt: skip
    assert (
        "1 held (acme/vision/b): run 'acme/vision/b' carries the tag 'legal-hold'".partition(":")[0]
        in got.err
    )


def test_a_batch_that_ends_says_what_was_not_tried(command) -> None:
    paths = [f"acme/vision/{name}" for name in ("r1", "b", "c", "d")]
    slow = Reply(status=429, headers={"retry-after": "3600"})
    got = command("runs", "delete", *paths, "--apply", *HOST, answers=[*HIDING, slow])

    assert got.code == 3
    assert [row["outcome"] for row in got.rows] == ["hidden", "failed", "not_tried", "not_tried"]
    assert "2 not tried (acme/vision/c, acme/vision/d)" in got.err


def test_the_ids_that_delete_prints_are_those_that_undelete_takes(command) -> None:
    held = seen(run("b", tags=["legal-hold"]), "c")
    got = command("runs", "delete", "acme/vision/r1", "acme/vision/b", "--apply", *HOST, "--format", "ids",
                  answers=[*HIDING, held])  # fmt: skip
    back = command("runs", "undelete", "--ids-from", "-", *HOST, stdin=got.out.encode(),
                   answers=[RIGHTS, ids("x"), UNDELETED, ids("x", "r1")])  # fmt: skip

    assert got.out == "acme/vision/r1\n"
    assert back.rows == [{"path": "acme/vision/r1", "outcome": "restored"}]


def test_undelete_takes_paths_of_several_projects(command) -> None:
    answers = [RIGHTS, ids(), UNDELETED, ids("a"), ids(), UNDELETED, ids("b")]
    got = command("runs", "undelete", "acme/vision/a", "acme/audio/b", *HOST, answers=answers)

    assert got.code == 0
    assert [row["path"] for row in got.rows] == ["acme/vision/a", "acme/audio/b"]
    assert [variables["project"] for name, variables in got.sent if name == "UndeleteRuns"] == [
        "vision",
        "audio",
    ]


def test_an_undelete_that_ends_in_the_second_project_says_what_is_left(command) -> None:
    answers = [RIGHTS, ids(), UNDELETED, ids("a"), *[error_reply("gone", status=500)] * 3]
    got = command("runs", "undelete", "acme/vision/a", "acme/audio/b", *HOST, answers=answers)

    assert got.code == 9
    assert got.rows == [{"path": "acme/vision/a", "outcome": "restored"}]
    assert "not known, or not tried: acme/audio/b" in got.err


def test_null_without_a_control_exits_with_10(command) -> None:
    got = command("runs", "delete", "acme/vision/r1", "--apply", *HOST, answers=[RIGHTS, seen(None, count=0)])

    assert got.code == 10
    assert got.rows[0]["outcome"] == "not_visible"


def test_an_interrupt_says_how_many_are_done(command) -> None:
    got = command(
        "runs", "delete", "acme/vision/r1", "acme/vision/r2", "--apply", *HOST,
        answers=[*HIDING, KeyboardInterrupt()],
    )  # fmt: skip

    assert got.code == 130
    assert [row["outcome"] for row in got.rows] == ["hidden"]
    assert "interrupted: 1 of 2 runs are done" in got.err
    assert "Traceback" not in got.err


def test_quiet_still_says_where_and_as_whom(command) -> None:
    got = command("runs", "delete", "acme/vision/r1", "-q", answers=[RIGHTS, seen_many(run())])

    assert got.err.splitlines()[0] == "host     api.wandb.ai (from test file)"
    assert "dry run" not in got.err


def test_undelete_asks_for_its_own_phrase(command) -> None:
    answers = [RIGHTS, ids("x"), UNDELETED, ids("x", "a")]
    undelete = ("runs", "undelete", "acme/vision", "a", "x")
    refused = command(*undelete, answers=[RIGHTS])
    got = command(*undelete, answers=answers, stdin="undelete 2 runs in acme/vision\n", interactive=True)

    assert (refused.code, _mutations(refused)) == (7, [])
    assert got.code == 0
    assert [row["outcome"] for row in got.rows] == ["restored", "visible_before"]
    assert json.loads(got.sent[2][1]["filters"]) == {"name": "a"}


@pytest.mark.parametrize(("after", "code"), [(("a",), 3), ((), 13)])
def test_undelete_that_brings_not_all_back_is_no_success(command, after, code) -> None:
    reads = [ids(*after)] * 3
    answers = [RIGHTS, ids(), UNDELETED, *(reads[:1] if after else reads), UNDELETED, *reads]

    got = command("runs", "undelete", "acme/vision", "a", "b", *HOST, answers=answers)

    assert got.code == code
    assert {"path": "acme/vision/b", "outcome": "not_restored"} in got.rows


def test_undelete_that_brings_others_back_names_them(command) -> None:
    got = command(
        "runs", "undelete", "acme/vision", "a", *HOST, answers=[RIGHTS, ids(), UNDELETED, ids("a", "z")]
    )  # fmt: skip

    assert got.code == 3
    assert "came back that were not asked for" in got.err


def test_undelete_wants_ids_one_way(command) -> None:
    assert command("runs", "undelete", "acme/vision").code == 2
    assert command("runs", "undelete", "acme/vision", "a", "--ids-from", "-").code == 2


def test_a_refused_key_exits_with_4(command) -> None:
    denied: Reply = error_reply("user is not logged in", status=401)

    assert command("runs", "delete", "acme/vision/r1", answers=[denied]).code == 4


def test_a_server_that_lists_no_deleted_runs_is_said_to_list_none(command) -> None:
    got = command("runs", "list", "acme/vision", "--deleted", answers=[{"serverInfo": None}])

    assert (got.code, got.out) == (0, "")
    assert "this server lists no deleted runs" in got.err
    assert command("runs", "list", "acme/vision", "--deleted", "--limit", "3").code == 2
