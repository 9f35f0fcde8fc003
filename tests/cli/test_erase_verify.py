"""`wbgql erase verify | watch`: data on stdout, names nowhere, a code for each way it can end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.cli.real_command import RealCommand
from tests.erasure.applied import AppliedJob
from tests.stored import World
from wbgql.erasure.case.case import Case
from wbgql.erasure.records.canonical import encode
from wbgql.server import RunningServer
from wbgql.server.operator import accounts as stores

FAST = ("--equal-reads", "2", "--patience", "0s")
_UNDELETE = """
mutation Undelete($project: String!, $filters: JSONString!) {
  undeleteRuns(input: {entityName: "admin", projectName: $project, filters: $filters}) { clientMutationId }
}
"""


@pytest.fixture
def job(world: World, tmp_path: Path) -> AppliedJob:
    for name in ("secret-run-1", "secret-run-2", "control"):
        world.run(name)
    made = AppliedJob(world, tmp_path)
    made.add("secret-run-1")
    made.add("secret-run-2")
    return made


@pytest.fixture
def case(job: AppliedJob) -> Case:
    return job.open()


@pytest.fixture
def erase(local_server: RunningServer, tmp_path: Path) -> RealCommand:
    return RealCommand(local_server, tmp_path)


def _undelete(world: World, filters: str = "{}") -> None:
    world.caller.ask(_UNDELETE, project=world.project, filters=filters)


def _log_history(world: World, run: str) -> None:
    """Log a metric and finish, so that the server makes a `wandb-history` artifact of the run."""
    world.caller.log(world.project, run, {"_step": 0, "loss": 1.0})
    world.caller.stream(world.project, run, complete=True, exitcode=0)


def test_verify_prints_what_was_proved_and_when_the_next_check_is(erase, case):
    got = erase("erase", "verify", str(case.path), *FAST, "--format", "json")

    assert got.code == 0, got.err
    printed = json.loads(got.out)
    assert printed["plan"] == case.plan.digest
    assert [one["verdict"] for one in printed["verifications"]] == ["hidden"]
    assert printed["next_check"]["kind"] == "monthly"  # the job of the test is months old
    assert "secret-run" not in got.out + got.err


def test_verify_asks_nothing_where_no_check_is_due(erase, case):
    assert erase("erase", "verify", str(case.path), *FAST).code == 0

    again = erase("erase", "verify", str(case.path), *FAST)
    forced = erase("erase", "verify", str(case.path), *FAST, "--now")

    assert (again.code, again.out) == (0, "")
    assert "no check is due before" in again.err
    assert (forced.code, "hidden" in forced.out) == (0, True)


def test_verify_ends_with_10_where_something_can_be_read(erase, case, world):
    _undelete(world, '{"name":"secret-run-2"}')

    got = erase("erase", "verify", str(case.path), *FAST)

    assert got.code == 10
    assert "run of run no. 2" in got.err
    assert json.loads(got.out)["verifications"][0]["verdict"] == "not_hidden"
    assert "secret-run" not in got.out + got.err


def test_verify_with_a_second_key_that_sees_nothing_cannot_verify(erase, case, local_server):
    key = stores.add_user(local_server.data, "second-reader")

    got = erase("erase", "verify", str(case.path), *FAST, WBGQL_READER_API_KEY=key)

    assert got.code == 10
    assert "nothing can be said" in got.err
    assert json.loads(got.out)["verifications"][0]["reader"] == "second"
    assert key not in got.out + got.err


def test_verify_ends_with_3_where_a_fork_is_left(erase, job, world):
    world.run("fork-of-it")
    world.run("third")
    job.add("third", forks=[f"admin/{world.project}/fork-of-it"])
    case = job.open()

    got = erase("erase", "verify", str(case.path), *FAST)

    assert got.code == 3
    assert "left, and not the provider's own: 1" in got.err
    assert json.loads(got.out)["verifications"][0]["residuals"][0]["kind"] == "fork"


def test_verify_ends_with_15_where_only_the_provider_can_remove_what_is_left(erase, job, world):
    _log_history(world, "secret-run-2")
    case = job.open()

    got = erase("erase", "verify", str(case.path), *FAST)
    accepted = erase("erase", "verify", str(case.path), *FAST, "--now", "--accept-residuals")

    assert got.code == 15, got.err
    assert "only the provider can remove: 1" in got.err
    assert json.loads(got.out)["verifications"][0]["residuals"][0]["run"] == 2
    assert accepted.code == 0, accepted.err


def test_what_is_left_for_others_too_is_not_accepted(erase, job, world):
    _log_history(world, "secret-run-2")
    world.run("fork-of-it")
    job.add("control", forks=[f"admin/{world.project}/fork-of-it"])
    case = job.open()

    assert erase("erase", "verify", str(case.path), *FAST, "--accept-residuals").code == 3


def test_a_reader_key_that_is_named_must_be_set(erase, case):
    got = erase("erase", "verify", str(case.path), "--reader-key-env", "NO_SUCH_KEY")

    assert (got.code, "NO_SUCH_KEY, which is not set" in got.err) == (2, True)


def test_the_jobs_own_key_is_not_a_second_one(erase, case, local_server):
    got = erase("erase", "verify", str(case.path), WBGQL_READER_API_KEY=local_server.api_key)

    assert (got.code, "job's own key" in got.err) == (2, True)


@pytest.mark.parametrize("command", [("verify",), ("watch", "--once")])
def test_a_plan_that_was_changed_after_it_was_applied_is_refused(erase, case, command):
    request = msgspec.structs.replace(case.plan.request, reference="DSR-4712")
    changed = msgspec.structs.replace(case.plan, request=request)
    case.path.write_bytes(encode(changed) + b"\n")

    got = erase("erase", *command, str(case.path), *FAST)

    assert (got.code, "not from this one" in got.err) == (5, True)
    assert case.ledger.verifications(case.job) == []


def test_a_plan_for_another_server_is_refused(erase, case):
    got = erase("erase", "verify", str(case.path), "--base-url", "http://127.0.0.1:9")

    assert got.code == 7
    assert "the plan was made against" in got.err


@pytest.mark.parametrize("store", ["nowhere", "local:", "fsspec:memory://bucket"])
def test_a_store_that_cannot_be_meant_is_refused(erase, case, store):
    assert erase("erase", "verify", str(case.path), "--storage", store).code == 2


def test_verify_looks_into_a_store_folder_before_the_purge(erase, case, local_server, tmp_path):
    texts = tmp_path / "texts"
    texts.write_text("nobody wrote this text\n")

    got = erase(
        "erase",
        "verify",
        str(case.path),
        *FAST,
        "--storage",
        f"local:{local_server.data}",
        "--texts-from",
        str(texts),
    )

    assert got.code == 10
    reads, storage = json.loads(got.out)["verifications"]
    assert (reads["verdict"], storage["verdict"], storage["probe"]) == ("hidden", "present", "local")
    assert (storage["counts"]["stored"], storage["counts"]["texts_found"]) == (2, 0)
    assert "secret-run" not in got.out + got.err


def test_watch_once_is_quiet_as_long_as_nothing_came_back(erase, case):
    got = erase("erase", "watch", str(case.path), "--once", *FAST)

    assert got.code == 0, got.err
    seen = json.loads(got.out)
    assert (seen["verdict"], seen["asked"]) == ("quiet", 2)
    assert seen["verification"]["verdict"] == "hidden"


def test_an_undelete_that_ignores_its_filter_is_noticed_and_only_ours_are_named(erase, case, world):
    world.run("stranger")
    world.delete_run("stranger")
    _undelete(world)

    got = erase("erase", "watch", str(case.path), "--once", *FAST)

    assert got.code == 10
    seen = json.loads(got.out)
    assert [back["run"] for back in seen["came_back"]] == [1, 2]
    assert "run no. 1 (" in got.err
    assert "run no. 2 (" in got.err
    assert "erase apply" in got.err
    assert not {"stranger", "secret-run", world.project} & set((got.out + got.err).split())
    assert case.ledger.job(case.job).state == "reopened"


def test_watch_ends_with_3_where_something_came_late(erase, case, world):
    world.log("run-secret-run-1-table", {"a": b"1"}, artifactTypeName="run_table")

    got = erase("erase", "watch", str(case.path), "--once", *FAST)

    assert got.code == 3
    assert "1 things came late" in got.err
    assert len(json.loads(got.out)["late"]) == 1


def test_a_server_that_cannot_be_asked_leaves_no_verification(erase, job):
    case = job.open(base_url="http://127.0.0.1:9")

    got = erase("erase", "verify", str(case.path), "--base-url", "http://127.0.0.1:9", "--timeout", "1")

    assert got.code == 9
    assert case.ledger.verifications(case.job) == []


# A suite that runs in the background has SIGINT ignored, and its children inherit that.
INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from wbgql.cli.main import main
sys.exit(main())
"""


def test_watch_goes_on_until_it_is_interrupted(case, local_server, tmp_path):
    environ = os.environ | {
        "WANDB_BASE_URL": local_server.base_url,
        "WANDB_API_KEY": local_server.api_key,
        "WBGQL_STATE": str(tmp_path),
    }
    argv = ("erase", "watch", str(case.path), "--interval", "1s", *FAST)
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, *argv],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    looks = [json.loads(process.stdout.readline()) for _ in range(2)]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)

    assert [look["verdict"] for look in looks] == ["quiet", "quiet"]
    assert (process.returncode, b"Traceback" in said) == (130, False)


def test_no_plan_is_a_usage_error_and_no_job_too(erase, tmp_path, job):
    (tmp_path / "other.json").write_text("{}")

    assert erase("erase", "verify", str(tmp_path / "other.json")).code == 2
    assert erase("erase", "watch", str(tmp_path / "missing.json"), "--once").code == 14


def test_a_job_is_not_logged_into_a_project_it_erases_from(erase, case, world):
    got = erase("erase", "verify", str(case.path), *FAST, "--log-to", f"admin/{world.project}")

    assert got.code == 2
    assert "name another project" in got.err
