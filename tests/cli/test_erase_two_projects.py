"""The erasure story over two projects: a hold, a moved run, files, and a swapped id that is refused."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Outcome
from tests.cli.erasing import Erase
from tests.erasure.test_moved import move, undelete
from tests.stored import World
from wbgql.erasure.records.canonical import encode
from wbgql.erasure.records.keys import PrivateKey, write_key
from wbgql.server import RunningServer, audit_requests

FAST = ("--equal-reads", "1", "--patience", "0s")


class Story:
    """Two projects, the commands on one plan over both, and what the server was asked to destroy."""

    def __init__(self, server: RunningServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.first, self.second = World(server), World(server)
        now = datetime.now(UTC)
        self.erase = Erase(server, folder, now=now)
        self.erase.register.create()
        self.plan = str(folder / "plan.json")

    def make(self, world: World, *names: str) -> None:
        for name in names:
            world.run(name)
            world.caller.stream(world.project, name, complete=True, exitcode=0).raise_for_status()

    def run(self, code: int, *argv: str) -> Outcome:
        got = self.erase(*argv)
        assert got.code == code, f"{argv}: {got.code}\n{got.out}\n{got.err}"
        return got

    def apply(self, code: int, plan: str | None = None, *more: str) -> Outcome:
        digest = json.loads(self.run(0, "show", self.plan, "--format", "json").out)["digest"]
        host = self.server.base_url.removeprefix("http://")
        argv = ("--digest", digest, "--yes", "--host", host, "--rate", "1000", *more)
        return self.run(code, "apply", plan or self.plan, *argv)

    def destroyed(self) -> list[str]:
        """The mutations about the two projects, in order, without those that log."""
        mine = {self.first.project, self.second.project}
        found = [row["mutation"] for row in audit_requests(self.server.data) if row["project"] in mine]
        return [name for name in found if name != "upsertBucket"]

    def population(self) -> dict[tuple[str, str], list[str]]:
        """Proofs by kind and outcome, as the certificate has them."""
        found: dict[tuple[str, str], list[str]] = {}
        with (self.folder / "plan.json.certificate" / "population.csv").open() as file:
            for row in csv.DictReader(file):
                found.setdefault((row["kind"], row["outcome"]), []).append(row["proof"])
        return found


@pytest.fixture
def story(local_server: RunningServer, tmp_path: Path) -> Story:
    made = Story(local_server, tmp_path)
    made.make(made.first, "a1", "a2", "a-held", "a-stays")
    made.make(made.second, "b1", "b-stays")
    for world, run in ((made.first, "a1"), (made.first, "a-stays")):
        world.store(run, {"output.log": b"line"})
    held = f"{made.first.path}/a-held"
    made.erase.register.add("run", held, reason="CASE-1", added_by="admin", now=made.erase.now)
    paths = [*(f"{made.first.path}/{run}" for run in ("a1", "a2", "a-held")), f"{made.second.path}/b1"]
    (tmp_path / "ids.txt").write_text("\n".join(paths))
    caps = ("--max-percent", "100", "--files")
    asked = ("--request", "DSR-1", "--basis", "gdpr-17", "--declare", "undelete_window=7d")
    made.run(
        0,
        *("plan", "--ids-from", str(tmp_path / "ids.txt"), *asked, "--declared-by", "platform team", *caps),
        *("-o", made.plan),
    )
    write_key(tmp_path / "certifier.pem", PrivateKey.from_seed(b"\x05" * 32), None)
    return made


def test_a_plan_with_the_id_of_a_held_run_is_refused(story: Story):
    content: Any = json.loads(Path(story.plan).read_bytes())
    run = next(run for run in content["runs"] if run["id"] == "a1")
    held = story.first.caller.run(story.first.project, "a-held")["id"]
    swapped = story.folder / "swapped.json"
    swapped.write_bytes(encode(content | {"runs": [run | {"storage_id": held}]}) + b"\n")
    (story.folder / "swapped.json.key").write_bytes((story.folder / "plan.json.key").read_bytes())

    shown = story.erase("show", str(swapped))

    assert shown.code != 0
    assert "another run" in shown.err
    assert story.apply(shown.code, str(swapped))
    assert story.destroyed() == []
    assert {run.id for run in story.first.client.runs(story.first.path)} == {"a1", "a2", "a-held", "a-stays"}


def test_over_two_projects_nothing_is_said_that_was_not_read(story: Story):
    move(story.first, "a2", story.second)

    applied = story.apply(3)
    rows = {(row["kind"], row["outcome"]): row["count"] for row in applied.rows}

    assert rows == {("run", "hidden"): 2, ("run", "moved"): 1, ("file", "deleted"): 1}
    assert {run.id for run in story.first.client.runs(story.first.path)} == {"a-held", "a-stays"}
    assert {run.id for run in story.second.client.runs(story.second.path)} == {"a2", "b-stays"}
    assert story.destroyed().count("deleteRun") == 2

    story.run(0, "verify", story.plan, *FAST)
    undelete(story.second, "b1")
    move(story.second, "b1", story.first)
    back = story.run(10, "verify", story.plan, "--now", *FAST)
    status = json.loads(story.run(0, "status", story.plan, "--format", "json").out)
    refused = story.run(10, "certify", story.plan, "--key", str(story.folder / "certifier.pem"))

    assert "can be read" in back.err
    assert (status["state"], status["visible"]) != ("verified", 0)
    assert "could read runs that were hidden" in refused.err
    assert "all is done" not in story.apply(3).err

    watched = story.run(10, "watch", story.plan, "--once", *FAST)
    assert "in another project of its entity" in watched.err
    story.apply(3)
    story.run(0, "verify", story.plan, "--now", *FAST)
    story.run(0, "certify", story.plan, "--key", str(story.folder / "certifier.pem"))

    certificate = json.loads((story.folder / "plan.json.certificate" / "certificate.json").read_bytes())
    certificate = certificate["certificate"]
    said = " ".join([*certificate["statement"], *certificate["limitations"]])
    assert certificate["stage"] == "HIDDEN"
    assert story.population() == {
        ("run", "hidden"): ["absent"],
        ("run", "moved"): ["not_claimed", "not_claimed"],
        ("run", "excluded"): ["not_claimed"],
        ("file", "deleted"): ["absent"],
    }
    assert "named by their ids" in said
    assert "Other entities were not searched" in said
    assert not {"a1", "a2", "b1", "a-held", story.first.project, story.second.project} & set(said.split())
    keys = ("--trusted-keys", str(story.folder / "certifier.pem.pub"))
    story.run(0, "check", str(story.folder / "plan.json.certificate"), *keys)
