"""`wbgql erase plan | show` against the local server."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from tests.cli.conftest import Command, Outcome
from tests.cli.erasing import NOW, Erase
from tests.erasure.planner import Team
from tests.stored import World
from wbgql.cli.shared import exit_codes
from wbgql.erasure.applying.starting import check_plan
from wbgql.erasure.case.files import load_plan
from wbgql.erasure.ledger import Ledger
from wbgql.erasure.planning import Ask, make_plan
from wbgql.erasure.planning.showing import write_out
from wbgql.erasure.records.approvals import read_approvers
from wbgql.erasure.records.canonical import encode
from wbgql.erasure.records.plan import Request
from wbgql.erasure.records.profile import Profile, parse_profile
from wbgql.erasure.records.subjects import CaseKey
from wbgql.errors import NotApproved
from wbgql.paths import parse_run_path
from wbgql.server import RunningServer, audit_log


@pytest.fixture
def erase(local_server: RunningServer, tmp_path: Path) -> Erase:
    return Erase(local_server, tmp_path)


@pytest.fixture
def stage(world: World) -> World:
    """Twenty runs, two of them with the tag `x`; the first logged a version."""
    for number in range(20):
        world.run(f"r{number:02}")
        tags = ["x"] if number < 2 else []
        world.caller.upsert(world.project, name=f"r{number:02}", tags=tags, state="finished")
    world.log("net", {"w": b"123"}, runName="r00")
    return world


@pytest.fixture
def plan(erase: Erase, stage: World, tmp_path: Path) -> Callable[..., Outcome]:
    """Plan the runs with the tag `x` into `plan.json`."""

    def run(*more: str, **options: object) -> Outcome:
        given = ["--request", "DSR-1", "--basis", "gdpr-17", "-o", str(tmp_path / "plan.json")]
        where = [] if "--where" in more or "--ids-from" in more else ["--where", '"x" in tags']
        scope = [] if "--ids-from" in more else [stage.path]
        return erase("plan", *scope, *where, *given, *more, **options)  # type: ignore[arg-type]  # str and bool

    return run


def test_plan_writes_the_plan_and_its_key_for_its_owner_alone(plan, tmp_path: Path) -> None:
    got = plan("--received", "2026-11-01", "--due", "2026-12-01")

    summary = json.loads(got.out)
    written = load_plan(tmp_path / "plan.json")
    assert got.code == exit_codes.OK, got.err
    assert (summary["runs"], summary["artifacts_erased"], summary["nothing_to_do"]) == (2, 1, False)
    assert summary["digest"] == written.digest
    assert summary["next"] == f"wbgql erase apply {tmp_path / 'plan.json'} --digest {written.digest}"
    for name in ("plan.json", "plan.json.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    key = CaseKey.from_hex((tmp_path / "plan.json.key").read_text())
    assert key.key_id == written.case_key_id
    assert (written.request.received_at, written.request.due_at) == ("2026-11-01", "2026-12-01")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan.json", "plan.json.key"]


def test_a_plan_is_never_overwritten_nor_its_key(plan, tmp_path: Path) -> None:
    for name in ("plan.json", "plan.json.key"):
        (tmp_path / name).write_text("mine")

        got = plan()

        assert got.code == exit_codes.USAGE
        assert "never overwritten" in got.err
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()


def test_nothing_to_do_is_no_error_and_writes_nothing(plan, tmp_path: Path) -> None:
    got = plan("--where", '"y" in tags')

    assert got.code == exit_codes.OK
    assert json.loads(got.out)["nothing_to_do"] is True
    assert json.loads(got.out)["next"] is None
    assert "nothing to do" in got.err
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_key_is_an_error_and_not_nothing_to_do(plan, stage: World, tmp_path: Path) -> None:
    stage.caller.upsert(stage.project, name="r00", config={"subject": {"value": "4711"}})

    got = plan("--where", 'config["subjetc"] == "4711"')

    assert got.code == exit_codes.USAGE
    assert "subject" in got.err
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_key_under_a_negation_makes_no_plan_of_every_run(
    plan, stage: World, tmp_path: Path
) -> None:
    stage.caller.upsert(stage.project, name="r00", config={"retain": {"value": True}})

    got = plan("--where", 'not (config["retian"] == True)')

    assert got.code == exit_codes.USAGE
    assert 'did you mean config["retain"]?' in got.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--max-runs", "1"], exit_codes.CAP, "--max-runs"),
        (["--max-percent", "5"], exit_codes.CAP, "--max-percent 5"),
        (["--canary", "tag:x"], exit_codes.CAP, "must never go"),
        (["--canary", "nonsense"], exit_codes.USAGE, "canary"),
        (["--where", 'created_at > "2020-01-01T00:00:00Z"'], exit_codes.CAP, "--entire-project"),
        (["--declare", "backups=30d"], exit_codes.USAGE, "--declared-by"),
        (["--required", "2"], exit_codes.USAGE, "--approvers"),
        (["--due", "tomorrow"], exit_codes.USAGE, "no date"),
        (["--ttl", "soon"], exit_codes.USAGE, "length of time"),
        (["--ids-from", "/does/not/exist"], exit_codes.USAGE, "cannot read ids"),
    ],
)
def test_what_is_refused_leaves_no_plan(plan, tmp_path: Path, more: list[str], code: int, said: str) -> None:
    got = plan(*more)

    assert got.code == code, got.err
    assert said in got.err
    assert got.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_request_that_names_a_person_is_refused(erase: Erase, stage: World, tmp_path: Path) -> None:
    given = ("--where", '"x" in tags', "--basis", "gdpr-17", "-o", str(tmp_path / "p.json"))

    got = erase("plan", stage.path, *given, "--request", "ada@example.org")

    assert got.code == exit_codes.USAGE
    assert "name a ticket" in got.err


def test_held_runs_are_left_out_and_where_all_are_held_the_code_says_so(
    plan, erase: Erase, stage: World, tmp_path: Path
) -> None:
    erase.register.add("run", f"{stage.path}/r00", reason="CASE", added_by="ada", now=NOW)
    partly = plan()
    erase.register.add("tag", "x", reason="CASE", added_by="ada", now=NOW)
    (tmp_path / "plan.json").rename(tmp_path / "old.json")
    (tmp_path / "plan.json.key").unlink()

    got = plan()

    assert (partly.code, json.loads(partly.out)["excluded"]) == (exit_codes.OK, 1)
    assert got.code == exit_codes.HELD
    assert not (tmp_path / "plan.json").exists()


def test_a_member_who_made_three_of_ten_is_denied_and_nothing_is_touched(
    local_server: RunningServer, tmp_path: Path
) -> None:
    team = Team(local_server)
    before = audit_log(local_server.data)
    ann = Erase(local_server, tmp_path, api_key=team.keys["ann"])
    given = (
        "plan",
        team.path,
        "--where",
        '"x" in tags',
        "--request",
        "R",
        "--basis",
        "b",
        "--max-percent",
        "100",
    )

    got = ann(*given, "-o", str(tmp_path / "plan.json"))
    own = ann(*given, "-o", str(tmp_path / "plan.json"), "--only-permitted")

    assert got.code == exit_codes.AUTH
    assert "7 of 10 runs that match may not be deleted" in got.err
    assert (own.code, json.loads(own.out)["runs"], json.loads(own.out)["excluded"]) == (exit_codes.OK, 3, 7)
    assert audit_log(local_server.data) == before


def test_an_entire_project_is_typed_on_a_terminal_or_named(
    plan, erase: Erase, stage: World, tmp_path: Path
) -> None:
    everything = ["--where", 'created_at > "2020-01-01T00:00:00Z"']
    wrong = plan(*everything, stdin="yes\n", interactive=True)
    typed = plan(*everything, stdin=f"{stage.path}\n", interactive=True)
    given = ["--request", "R", "--basis", "b", "-o", str(tmp_path / "named.json")]
    named = erase("plan", stage.path, "--entire-project", stage.path, *given)

    assert wrong.code == exit_codes.NOT_APPROVED
    assert (typed.code, json.loads(typed.out)["runs"]) == (exit_codes.OK, 20)
    assert (named.code, json.loads(named.out)["runs"]) == (exit_codes.OK, 20)
    assert load_plan(tmp_path / "named.json").rule.entire_project


def test_ids_are_read_from_a_file_and_a_missing_one_is_refused(plan, stage: World, tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text(f"{stage.path}/r05\n\n{stage.path}/r05\n")

    got = plan("--ids-from", str(ids))
    assert got.code == exit_codes.OK, got.err
    assert [run.id for run in load_plan(tmp_path / "plan.json").runs] == ["r05"]

    (tmp_path / "plan.json").rename(tmp_path / "old.json")
    (tmp_path / "plan.json.key").unlink()
    ids.write_text(f"{stage.path}/r05\n{stage.path}/nowhere\n")
    assert plan("--ids-from", str(ids)).code == exit_codes.NOT_FOUND
    partly = plan("--ids-from", str(ids), "--allow-missing")
    assert (partly.code, json.loads(partly.out)["not_read"]) == (exit_codes.OK, [f"{stage.path}/nowhere"])


def test_a_plan_with_a_key_and_approvers_says_who_must_sign(plan, erase: Erase, tmp_path: Path) -> None:
    keys = [str(tmp_path / f"{name}.pem") for name in ("me", "officer")]
    for key in keys:
        assert erase("key", "new", key).code == 0
    listed = str(tmp_path / "approvers.json")
    pairs = [part for key in keys for part in ("--key", f"{key}.pub", "--role", "officer")]
    assert erase("approvers", "make", "-o", listed, *pairs).code == 0

    too_many = plan("--key", keys[0], "--approvers", listed, "--required", "2")
    got = plan("--key", keys[0], "--approvers", listed)

    assert too_many.code == exit_codes.USAGE
    assert "1 keys that can" in too_many.err
    written = load_plan(tmp_path / "plan.json")
    assert got.code == exit_codes.OK, got.err
    assert (json.loads(got.out)["approvals"], written.approvers.required) == (1, 1)
    assert written.planner.key_id.startswith("ed25519:")
    assert json.loads(got.out)["next"].startswith("wbgql erase approve")
    approved = erase(
        "approve", str(tmp_path / "plan.json"), "--key", keys[1], "--approvers", listed, "--yes",
        "--digest", written.digest,
    )  # fmt: skip
    assert approved.code == exit_codes.OK, approved.err


def test_a_plan_cites_the_profile_of_its_server_and_no_others(plan, erase: Erase, tmp_path: Path) -> None:
    def profile(base_url: str) -> Path:
        made = Profile(
            made_at="2026-11-01T00:00:00Z",
            base_url=base_url,
            deployment=None,
            version=None,
            is_test=True,
            role=None,
            answers=[],
            left=[],
        )
        (tmp_path / "profile.json").write_bytes(encode(made))
        return tmp_path / "profile.json"

    foreign = plan("--profile", str(profile("https://elsewhere.example")))
    own = plan("--profile", str(profile(erase.server.base_url)))

    assert foreign.code == exit_codes.USAGE
    assert "elsewhere" in foreign.err
    assert own.code == exit_codes.OK, own.err
    cited = load_plan(tmp_path / "plan.json").server.profile
    assert cited == parse_profile((tmp_path / "profile.json").read_bytes()).digest


# ---- show ----


def test_show_says_what_goes_and_what_stays_and_asks_no_server(
    plan, erase: Erase, command: Command, stage: World, tmp_path: Path
) -> None:
    erase.register.add("run", f"{stage.path}/r01", reason="CASE-9", added_by="ada", now=NOW)
    plan("--declare", "backups=30d", "--declared-by", "data steward", "--due", "2026-12-24")

    shown = command("erase", "show", str(tmp_path / "plan.json"), "--format", "table")
    data = command("erase", "show", str(tmp_path / "plan.json"))

    assert (shown.code, shown.sent, data.sent) == (0, [], [])
    seen = json.loads(data.out)
    assert seen["digest"] == load_plan(tmp_path / "plan.json").digest
    assert (seen["totals"]["planned"], seen["excluded"]) == (1, {"held": 1})
    assert seen["artifacts"] == {"erase": {"exclusive": 1}}
    ends = {clock["name"]: clock["ends_at"] for clock in seen["clocks"]}
    assert ends["undelete_window"].startswith("2026-01-08")  # the command's clock stands at 1 January
    assert ends["artifact_collection"] is None
    for words in (
        seen["digest"],
        "DSR-1 (gdpr-17)",
        "1 of 2 that match",
        "is held by H1 (run, CASE-9)",
        "unknown: the server does not say",
        "declared by data steward: 30 d",
        "backups and replicas, until they expire",
        "a local test server",
    ):
        assert words in shown.out


def test_show_prints_the_digest_alone(plan, command: Command, tmp_path: Path) -> None:
    assert plan().code == exit_codes.OK

    shown = command("erase", "show", str(tmp_path / "plan.json"), "--digest")

    assert (shown.code, shown.out.strip()) == (0, load_plan(tmp_path / "plan.json").digest)


def test_show_lists_runs_versions_and_what_is_excluded(plan, command: Command, tmp_path: Path) -> None:
    plan()
    file = str(tmp_path / "plan.json")

    runs = command("erase", "show", file, "--runs")
    versions = command("erase", "show", file, "--artifacts", "--format", "csv")
    excluded = command("erase", "show", file, "--excluded")
    files = command("erase", "show", file, "--files")

    planned = load_plan(tmp_path / "plan.json").runs
    assert [row["id"] for row in runs.rows] == [run.storage_id for run in planned]
    assert planned[0].artifacts[0].id in versions.out
    assert (files.code, files.out) == (0, "")
    assert [row["path"].rpartition("/")[2] for row in runs.rows] == ["r00", "r01"]
    assert [row["no"] for row in runs.rows] == [1, 2]
    assert runs.rows[0]["artifacts_go"] == 1
    assert "net:v0,dataset,r00,erase,exclusive,1,3" in versions.out
    assert (excluded.code, excluded.out) == (0, "")
    assert command("erase", "show", file, "--format", "csv").code == exit_codes.USAGE


def test_show_refuses_what_is_no_plan_and_tells_an_expired_one(
    plan, command: Command, tmp_path: Path
) -> None:
    plan("--ttl", "1s")
    (tmp_path / "no.json").write_text('{"schema": "other", "secret": "ada"}')

    refused = command("erase", "show", str(tmp_path / "no.json"))
    missing = command("erase", "show", str(tmp_path / "nowhere.json"))

    assert (refused.code, missing.code) == (exit_codes.USAGE, exit_codes.STORE)
    assert "ada" not in refused.err
    written = load_plan(tmp_path / "plan.json")
    assert "has passed" not in write_out(written, NOW)
    assert "has passed" in write_out(written, NOW + timedelta(seconds=1))


@pytest.fixture
def configured(erase: Erase, tmp_path: Path) -> Path:
    """An approvers file that `$WBGQL_APPROVERS` names from now on."""
    officer, listed = str(tmp_path / "officer.pem"), tmp_path / "approvers.json"
    assert erase("key", "new", officer).code == 0
    made = erase("approvers", "make", "-o", str(listed), "--key", f"{officer}.pub", "--role", "officer")
    assert made.code == 0, made.err
    erase.environ["WBGQL_APPROVERS"] = str(listed)
    return listed


def test_a_plan_names_the_approvers_that_are_configured(plan, configured: Path, tmp_path: Path) -> None:
    got = plan()

    assert got.code == exit_codes.OK, got.err
    written = load_plan(tmp_path / "plan.json").approvers
    assert written is not None
    assert (written.digest, written.required) == (read_approvers(configured).digest, 1)
    assert json.loads(got.out)["next"] == f"wbgql erase approve {tmp_path / 'plan.json'} --key KEY"


def test_a_plan_without_approvers_is_neither_approved_nor_applied_where_they_are_configured(
    plan, erase: Erase, stage: World, tmp_path: Path
) -> None:
    assert plan().code == exit_codes.OK
    path = tmp_path / "plan.json"
    digest = load_plan(path).digest
    officer, listed = str(tmp_path / "officer.pem"), str(tmp_path / "approvers.json")
    erase("key", "new", officer)
    erase("approvers", "make", "-o", listed, "--key", f"{officer}.pub", "--role", "officer")
    meant = ["--digest", digest, "--yes"]
    host = stage.client.settings.base_url.removeprefix("http://")
    erase.environ["WBGQL_APPROVERS"] = listed

    approved = erase("approve", str(path), "--key", officer, *meant)
    applied = erase("apply", str(path), *meant, "--host", host)
    tried = erase("apply", str(path), "--digest", digest, "--dry-run")

    assert [approved.code, applied.code, tried.code] == [exit_codes.NOT_APPROVED] * 3
    assert "names no approvers" in applied.err
    assert len(list(stage.client.runs(stage.path))) == 20


def test_an_approvers_file_that_is_configured_and_missing_stops_everything(
    plan, configured: Path, tmp_path: Path
) -> None:
    configured.unlink()

    assert plan().code == exit_codes.STORE
    assert not (tmp_path / "plan.json").exists()


def test_the_python_calls_use_the_approvers_that_are_configured(
    monkeypatch, plan, configured: Path, stage: World, tmp_path: Path
) -> None:
    monkeypatch.setenv("WBGQL_APPROVERS", str(configured))
    ids = [parse_run_path(f"{stage.path}/r00")]

    made, _ = make_plan(stage.client, Ask(request=Request(reference="R-1", basis="b"), ids=ids))

    assert made.approvers is not None
    without = msgspec.structs.replace(made, approvers=None)
    with pytest.raises(NotApproved):
        check_plan(without, without.digest, [], None, datetime.now(UTC))


def test_a_request_that_was_planned_already_and_dates_that_cannot_be_meant_are_told(
    plan, erase, stage, tmp_path
):
    first = plan("--due", "2026-12-24")
    second = erase(
        *("plan", stage.path, "--where", '"x" in tags', "--request", "DSR-1", "--basis", "gdpr-17"),
        *("--due", "2020-01-31", "--received", "2020-01-01", "-o", str(tmp_path / "again.json")),
    )

    assert (first.code, second.code) == (0, 0), second.err
    assert "warning" not in first.err
    told = [line for line in second.err.splitlines() if line.startswith("warning")]
    assert told == [
        "warning: --due 2020-01-31 has passed: this answer is late",
        f"warning: request 'DSR-1' is planned already: plan {str(tmp_path / 'plan.json')!r} of 2026-11-24",
    ]


def test_a_request_that_has_a_job_in_the_ledger_is_told(plan, tmp_path):
    plan()
    written = load_plan(tmp_path / "plan.json")
    with closing(Ledger.open(f"sqlite:///{tmp_path / 'erasure.sqlite'}")) as ledger:
        ledger.create(written, target="test", body={})
    for name in ("plan.json", "plan.json.key"):
        (tmp_path / name).unlink()

    again = plan()

    assert f"is planned already: job {written.plan_id} in the ledger, applying" in again.err
