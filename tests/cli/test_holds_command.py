"""`wbgql hold add | list | release`."""

from __future__ import annotations

import json

import pytest


def test_a_hold_is_added_listed_and_lifted(command) -> None:
    added = command("hold", "add", "--run", "acme/vision/r1", "--reason", "CASE-17")
    listed = command("hold", "list")
    lifted = command("hold", "release", "H1")

    assert [got.code for got in (added, listed, lifted)] == [0, 0, 0]
    assert json.loads(added.out) == listed.rows[0] == json.loads(lifted.out)
    assert (listed.rows[0]["kind"], listed.rows[0]["value"]) == ("run", "acme/vision/r1")
    assert listed.rows[0]["added_at"] == "2026-01-01T00:00:00Z"
    assert command.register.read() == []


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
