"""Stories of verification from the shell: a whole case against a server of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.real_command import RealCommand
from tests.stored import World
from wbgql.server import RunningServer, purge, start

FAST = ("--equal-reads", "2", "--patience", "0s")
CANARIES = ("canary-config-{}-end", "canary-tag-{}-end", "canary-log-{}-end", "canary-weights-{}-end")
_UNDELETE = """
mutation Undelete($project: String!, $filters: JSONString!) {
  undeleteRuns(input: {entityName: "admin", projectName: $project, filters: $filters}) { clientMutationId }
}
"""


@pytest.fixture(scope="module")
def ignoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose `undeleteRuns` ignores its filter, as W&B's page does."""
    with start(tmp_path_factory.mktemp("server"), undelete="all", system_artifacts="off") as server:
        yield server


class Shell(RealCommand):
    """Commands of one case, in order; each must end with the code that is expected."""

    def run(self, code: int, *argv: str) -> str:
        got = self("erase", *argv)
        assert got.code == code, f"{argv}: {got.code}\n{got.out}\n{got.err}"
        self.said = got.err
        return got.out


@pytest.fixture
def shell(ignoring: RunningServer, tmp_path: Path) -> Shell:
    made = Shell(ignoring, tmp_path)
    made.run(0, "key", "new", str(tmp_path / "certifier.pem"))
    return made


def _canaries(world: World) -> list[str]:
    return [canary.format(world.project) for canary in CANARIES]


def _world(server: RunningServer) -> World:
    world = World(server)
    config, tag, log, _ = _canaries(world)
    for name in ("doomed-r1", "doomed-r2", "strangers-run", "control-run"):
        world.run(name)
    for name in ("doomed-r1", "doomed-r2"):
        run = world.caller.run(world.project, name)
        world.caller.upsert(
            world.project,
            id=run["id"],
            config={"owner": {"value": config}},
            tags=[tag],
            state="finished",
        )
    world.store("doomed-r1", {"output.log": log.encode() * 9})
    return world


def _plan(shell: Shell, world: World, folder: Path) -> tuple[str, str]:
    ids = folder / "ids.txt"
    ids.write_text("".join(f"{world.path}/doomed-r{number}\n" for number in (1, 2)))
    plan = str(folder / "plan.json")
    out = shell.run(
        0,
        "plan",
        "--ids-from",
        str(ids),
        "--request",
        "DSR-4711",
        "--basis",
        "gdpr-17",
        "--max-percent",
        "50",
        "-o",
        plan,
        "--format",
        "json",
    )
    return plan, json.loads(out)["digest"]


def _apply(shell: Shell, plan: str, digest: str) -> None:
    host = shell.server.base_url.removeprefix("http://")
    shell.run(0, "apply", plan, "--digest", digest, "--yes", "--host", host, "--rate", "1000")


def test_an_undelete_that_ignores_its_filter_on_day_two(shell, ignoring, tmp_path):
    """A colleague brings one run of his own back, and the server brings back all of them."""
    world = _world(ignoring)
    plan, digest = _plan(shell, world, tmp_path)
    key = str(tmp_path / "certifier.pem")
    _apply(shell, plan, digest)
    shell.run(0, "verify", plan, *FAST)
    shell.run(0, "certify", plan, "--key", key)
    world.delete_run("strangers-run")
    world.caller.ask(_UNDELETE, project=world.project, filters='{"name":"strangers-run"}')
    shell.now = lambda: datetime.now(UTC) + timedelta(days=2)

    seen = json.loads(shell.run(10, "watch", plan, "--once", *FAST))
    said = shell.said

    assert [back["run"] for back in seen["came_back"]] == [1, 2]
    assert said.count("can be seen again") == 3  # two runs, and why the command ends so
    assert not [name for name in ("doomed", "stranger", *_canaries(world)) if name in said + json.dumps(seen)]
    assert seen["audit"] == {"deletes": 3, "bulk_deletes": 0, "undeletes": 1, "sent": 2, "hidden": 2}
    shell.run(10, "certify", plan, "--key", key)

    _apply(shell, plan, digest)
    shell.run(0, "verify", plan, *FAST)
    shell.run(0, "certify", plan, "--key", key)
    (former,) = tmp_path.glob("plan.json.certificate.*")
    check = ("check", str(former), "--trusted-keys", f"{key}.pub")
    shell.run(0, *check)
    assert "superseded" in shell.run(10, *check, "--newer", str(tmp_path / "plan.json.certificate"))
    world.client.close()


def test_a_probe_finds_out_that_undeleting_ignores_its_filter(shell, ignoring):
    host = ignoring.base_url.removeprefix("http://")

    found = json.loads(shell.run(0, "probe", "--without-sdk", "--yes", "--host", host, "--format", "json"))

    assert found["answers"]["undelete_honours_filter"] == "no"
    assert found["left"][0].startswith("2 runs")


def test_failure_27_runs_that_a_backup_brought_back_are_found_from_the_certificate(shell, ignoring, tmp_path):
    world = _world(ignoring)
    plan, digest = _plan(shell, world, tmp_path)
    _apply(shell, plan, digest)
    shell.run(0, "verify", plan, *FAST)
    shell.run(0, "certify", plan, "--key", str(tmp_path / "certifier.pem"))
    returned = ("returned", f"{plan}.certificate", world.path, "--format", "ids", "--case-key")
    (tmp_path / "other.key").write_text("ab" * 32)

    assert shell.run(0, *returned, f"{plan}.key") == ""
    world.caller.ask(_UNDELETE, project=world.project, filters='{"name":"doomed-r2"}')
    found = shell.run(10, *returned, f"{plan}.key").split()
    shell.run(2, *returned, str(tmp_path / "other.key"))

    # This server brings back both, whatever was asked; the run of a stranger is none of the case's.
    assert sorted(found) == [f"{world.path}/doomed-r1", f"{world.path}/doomed-r2"]
    world.client.close()


def test_after_the_purge_no_canary_is_left_in_the_raw_store(shell, ignoring, tmp_path):
    world = _world(ignoring)
    canaries = _canaries(world)
    weights = world.log("doomed-weights", {"w": canaries[3].encode() * 9}, runName="doomed-r1")
    plan, digest = _plan(shell, world, tmp_path)
    texts = tmp_path / "canaries.txt"
    texts.write_text("\n".join(canaries))
    look = ("verify", plan, "--now", *FAST, "--storage", f"local:{ignoring.data}", "--texts-from", str(texts))
    _apply(shell, plan, digest)

    hidden = json.loads(shell.run(10, *look))["verifications"]
    purge(ignoring.data, retention_s=0)
    gone = json.loads(shell.run(0, *look))["verifications"]

    assert weights
    assert [one["verdict"] for one in hidden] == ["hidden", "present"]
    assert hidden[1]["counts"]["texts_found"] == len(CANARIES)
    assert [one["verdict"] for one in gone] == ["hidden", "absent"]
    assert (gone[1]["counts"]["absent"], gone[1]["counts"]["texts_found"]) == (3, 0)
    world.client.close()
