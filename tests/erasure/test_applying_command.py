"""`wbgql erase apply | status | stop` on the local server, with their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from click.testing import CliRunner

from tests.erasure.fault_proxy import Fault, always
from tests.erasure.stages import Stage
from wbgql.cli.main import main
from wbgql.cli.shared.app import App
from wbgql.client import Client
from wbgql.erasure.case.case import Case
from wbgql.erasure.verifying.job import Care, Reader
from wbgql.erasure.verifying.watching import watch_once


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def erase(stage: Stage) -> Callable[..., Outcome]:
    """Runs `wbgql erase ...`; its client is the stage's."""

    def run(*argv: str, stdin: str = "", interactive: bool = False) -> Outcome:
        environ = {"WBGQL_HOLDS": str(stage.holds.path), "WBGQL_STATE": str(stage.folder)}
        app = App(
            make_client=lambda **_: Client(settings=stage.client.settings, holds=stage.holds),
            is_interactive=lambda: interactive,
            environ=environ,
        )
        with CliRunner().isolation(input=stdin) as (out, err, _):
            code = main(["erase", *argv], app)
            return Outcome(code, out.getvalue().decode(), err.getvalue().decode())

    return run


def given(case: Case, stage: Stage) -> list[str]:
    """PLAN, --digest, and the word of somebody who means it."""
    host = stage.client.settings.base_url.removeprefix("http://")
    return [str(case.path), "--digest", case.plan.digest, "--yes", "--host", host, "--rate", "1000"]


def rows(outcome: Outcome) -> list[tuple[str, str, int]]:
    return [tuple(json.loads(line).values()) for line in outcome.out.splitlines()]


def test_apply_does_it_and_status_tells_without_asking_the_server(stage, erase):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])
    before = erase("status", str(case.path))

    done = erase("apply", *given(case, stage))
    asked = len(stage.proxy.requests)
    after = erase("status", str(case.path))

    assert (before.code, json.loads(before.out)["state"]) == (0, "planned")
    assert (done.code, rows(done)) == (0, [("run", "hidden", 2)])
    assert "2/2 run no. 2: hidden" in done.err
    assert "erase verify" in done.err
    told = json.loads(after.out)
    assert (told["state"], told["open"], told["counts"]) == ("applied", 0, {"run": {"hidden": 2}})
    assert told["batches"] == {"success": 1}
    assert len(stage.proxy.requests) == asked


def test_a_phrase_is_asked_for_on_a_terminal(stage, erase):
    stage.make("a", "stays")
    case = stage.case(["a"])
    argv = [str(case.path), "--digest", case.plan.digest]

    wrong = erase("apply", *argv, stdin="erase 1 runs\n", interactive=True)
    nobody = erase("apply", *argv)
    right = erase("apply", *argv, stdin=f"erase 1 run in {stage.world.path}\n", interactive=True)

    assert (wrong.code, nobody.code, right.code) == (7, 7, 0)
    assert "--yes --host" in nobody.err


def test_exit_codes_say_why_nothing_was_done(stage, erase):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])
    argv = given(case, stage)

    assert erase("apply", argv[0], "--digest", "sha256:" + "1" * 64, *argv[3:]).code == 5
    assert erase("apply", *argv[:-4], "--yes", "--host", "api.wandb.ai").code == 7
    stage.hold("run", f"{stage.world.path}/a")
    held = erase("apply", *argv)
    assert held.code == 6
    assert "1 of 2" in held.err
    assert stage.proxy.mutations == []


def test_what_stays_is_exit_3_and_what_is_open_exit_9(stage, erase):
    stage.make("a", "b", "stays")
    stage.world.run("c")
    case = stage.case(["a", "b", "c"])
    stage.world.caller.upsert(stage.world.project, name="a", displayName="other")

    still = erase("apply", *given(case, stage), "--quiet-budget", "1s")
    stage.finish("c")
    done = erase("apply", *given(case, stage))

    assert still.code == 9
    assert set(rows(still)) == {("run", "changed", 1), ("run", "hidden", 1), ("run", "open", 1)}
    assert done.code == 3
    assert "1 things were left where they are (changed 1)" in done.err
    assert "--retry" in done.err


def test_runs_that_are_all_not_visible_are_exit_10_and_nothing_is_claimed(stage, erase):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])
    stage.proxy.choose = lambda request: (
        Fault(body=b'{"data":{"project":null}}')
        if request.operation in ("GetRunFacts", "LookUpRun")
        else None
    )

    got = erase("apply", *given(case, stage))

    assert got.code == 10, got.err
    assert rows(got) == [("run", "not_visible", 2)]
    assert "nothing is claimed" in got.err


def test_a_dry_run_counts_runs_from_1(stage, erase):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])

    got = erase("apply", *given(case, stage), "--dry-run")

    assert [json.loads(line)["run"] for line in got.out.splitlines()] == [1, 2]


def test_runs_that_are_all_held_by_a_tag_are_exit_6(stage, erase):
    stage.make("a", "b", "stays", tags=["subject:1"])
    case = stage.case(["a", "b"])
    stage.hold("tag", "subject:1")

    got = erase("apply", *given(case, stage))

    assert (got.code, rows(got)) == (6, [("run", "held", 2)])
    assert stage.proxy.mutations == []


def test_a_dry_run_sends_no_mutation(stage, erase):
    stage.make("a", "b", "stays")
    case = stage.case(["a", "b"])
    stage.hold("run", f"{stage.world.path}/a")

    got = erase("apply", str(case.path), "--digest", case.plan.digest, "--dry-run", "--format", "csv")

    assert got.code == 0
    lines = [line.split(",") for line in got.out.splitlines()]
    assert [(line[0], line[1], line[3]) for line in lines] == [
        ("run", "kind", "would"),
        ("1", "run", "held"),
        ("2", "run", "hidden"),
    ]
    assert stage.proxy.mutations == []


def test_stop_is_no_error_where_nothing_runs(stage, erase):
    stage.make("a", "stays")
    case = stage.case(["a"])

    assert "nothing to stop" in erase("stop", str(case.path)).err
    erase("apply", *given(case, stage))
    assert erase("stop", str(case.path)).code == 0
    assert json.loads(erase("status", str(case.path)).out)["stop_requested"] is True


def test_what_goes_to_a_log_does_not_repeat_the_servers_words(stage, erase):
    stage.make("a", "stays")
    case = stage.case(["a"])
    words = json.dumps({"errors": [{"message": "run anna-4711 is broken"}]}).encode()
    assert erase("apply", *given(case, stage)).code == 0
    stage.proxy.choose = always("LookUpRuns", Fault(forward=False, status=400, body=words))

    logged = erase("verify", str(case.path), "--equal-reads", "1", "--patience", "0s")
    watched = erase("verify", str(case.path), "--equal-reads", "1", "--patience", "0s", interactive=True)

    assert logged.code == watched.code != 0
    assert "anna-4711" not in logged.err
    assert "LookUpRuns: (the server's words are left out) (HTTP 400)" in logged.err
    assert "anna-4711" in watched.err


def test_after_a_verification_that_could_read_a_run_nothing_is_called_verified_or_done(stage, erase):
    stage.make("a", "stays")
    case = stage.case(["a"])
    quick = ("--equal-reads", "1", "--patience", "0s")
    assert erase("apply", *given(case, stage)).code == 0
    assert erase("verify", str(case.path), *quick).code in (0, 3, 15)
    assert json.loads(erase("status", str(case.path)).out)["state"] == "verified"
    restored = stage.world.client.undelete_runs(stage.world.path, ["a"])
    assert restored.restored == ["a"]

    verified = erase("verify", str(case.path), "--now", *quick)
    status = json.loads(erase("status", str(case.path)).out)
    applied = erase("apply", *given(case, stage))
    care = Care(equal_reads=1, patience_s=0.0)
    watched = watch_once(case, Reader(session=stage.client.session), care=care)
    again = erase("apply", *given(case, stage))

    assert (verified.code, applied.code, watched.verdict, again.code) == (10, 10, "came_back", 0)
    assert (status["state"], status["visible"], status["verified_at"]) == ("applied", 1, None)
    assert "all is done" not in applied.err
    assert "watch --once" in applied.err
    assert "all is done" in again.err
    assert stage.visible() == {"stays"}
