"""`wbgql hold add | list | release`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes import page
from wbgql.errors import AuthenticationError, ServerUnavailable


def _seen(run: dict[str, Any] | None) -> dict[str, Any]:
    """What the server says of `acme/vision/r1`."""
    project = {"name": "vision", "entityName": "acme", "readOnly": False, "runCount": 2}
    return {"project": project | {"run": run, "controls": {"edges": []}}}


_REST = ("displayName", "state", "tags", "group", "jobType", "sweepName", "heartbeatAt", "user")
RUN = {"id": "UnVu", "name": "r1", "createdAt": "2025-05-01T10:00:00Z"} | dict.fromkeys(_REST)
FOUND = {"project": {"name": "vision", "entityName": "acme", "runs": page([RUN])}}


def test_a_hold_is_added_listed_and_lifted(command) -> None:
    added = command("hold", "add", "--run", "acme/vision/r1", "--reason", "CASE-17", answers=[_seen(RUN)])
    listed = command("hold", "list", answers=[FOUND])
    lifted = command("hold", "release", "H1")

    assert [got.code for got in (added, listed, lifted)] == [0, 0, 0], added.err
    assert json.loads(added.out) == listed.rows[0] == json.loads(lifted.out)
    assert (listed.rows[0]["kind"], listed.rows[0]["value"]) == ("run", "acme/vision/r1")
    assert listed.rows[0]["added_at"] == "2026-01-01T00:00:00Z"
    assert listed.rows[0]["created_at"] == "2025-05-01T10:00:00Z", added.err
    assert "made at 2025-05-01T10:00:00Z" in added.err
    assert "warning" not in listed.err
    assert command.register.read() == []


@pytest.mark.parametrize("answer", [_seen(None), ServerUnavailable("refused"), AuthenticationError("no key")])
def test_a_hold_on_what_cannot_be_looked_up_is_added_and_what_was_recorded_is_said(command, answer) -> None:
    added = command("hold", "add", "--run", "acme/vision/r1", "--reason", "CASE-17", answers=[answer])

    assert added.code == 0
    assert "only the id is recorded, so every run of this id in the entity is held" in added.err
    assert command.register.read()[0].created_at is None


def test_a_hold_on_a_name_that_the_server_reads_otherwise_is_refused(command) -> None:
    added = command("hold", "add", "--run", "acme/Vision/r1", "--reason", "CASE-17", answers=[_seen(RUN)])

    assert added.code == 2
    assert "'acme/vision/r1'" in added.err
    assert command.register.read() == []


def test_a_list_says_that_the_paths_could_not_be_looked_up(command) -> None:
    command("hold", "add", "--run", "acme/vision/r1", "--reason", "CASE-17", answers=[_seen(RUN)])

    listed = command("hold", "list", answers=[AuthenticationError("no key")])

    assert (listed.code, len(listed.rows)) == (0, 1)
    assert "was not looked up: no key" in listed.err


@pytest.mark.parametrize("kind", [(), ("--tag", "a", "--user", "b")])
def test_a_hold_is_of_exactly_one_kind(command, kind) -> None:
    got = command("hold", "add", *kind, "--reason", "CASE-17")

    assert got.code == 2
    assert "give one of --run, --project, --tag and --user" in got.err


def test_a_hold_by_run_names_the_whole_path(command) -> None:
    assert command("hold", "add", "--run", "r1", "--reason", "CASE-17").code == 2


def test_a_damaged_register_exits_with_6(command) -> None:
    command.register.path.write_text("{")

    assert command("hold", "list").code == 6


def test_no_such_hold_is_a_usage_error(command) -> None:
    command("hold", "add", "--tag", "keep", "--reason", "CASE-17")
    got = command("hold", "release", "H9")

    assert got.code == 2
    assert "'H9'" in got.err


def test_quiet_and_debug_work_after_every_hold_command(command) -> None:
    assert command("hold", "add", "--tag", "keep", "--reason", "C1", "--quiet").code == 0
    assert command("hold", "list", "--quiet").rows[0]["value"] == "keep"
    assert command("hold", "release", "H1", "-q", "--debug").code == 0


def test_a_named_register_is_made_by_init_and_never_in_passing(command) -> None:
    command.register.path.unlink()

    assert command("hold", "add", "--tag", "keep", "--reason", "C1").code == 6
    assert command("hold", "init").code == 0
    assert command("hold", "init").code == 2
    assert command("hold", "add", "--tag", "keep", "--reason", "C1").code == 0
