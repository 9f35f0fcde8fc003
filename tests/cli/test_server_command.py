"""`wbgql server`, what an operator does to its store, and `wbgql schema check`."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from wbgql.cli.extras import server_extra
from wbgql.errors import ConfigError


def test_users_are_added_and_listed_without_their_keys(command, tmp_path: Path) -> None:
    data = str(tmp_path / "store")
    key = "k" * 40
    added = command("server", "user", "add", "ada", "--key", key, "--admin", "--data", data)
    made = command("server", "user", "add", "bob", "--data", data)
    listed = command("server", "--data", data, "user", "list")

    assert json.loads(added.out) == {"user": "ada", "admin": True, "api_key": key}
    assert len(json.loads(made.out)["api_key"]) >= 40
    assert [(row["username"], row["admin"]) for row in listed.rows] == [("ada", True), ("bob", False)]
    assert key not in listed.out


def test_orgs_teams_and_purge_are_done_to_the_store_named(command, tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "store"))
    command("server", "user", "add", "ada", *data)
    org = command("server", "org", "add", "acme", "--member", "ada", *data)
    team = command("server", "team", "add", "vision", "--org", "acme", "--member", "ada", *data)
    purge = command("server", "purge", *data)

    assert [got.code for got in (org, team, purge)] == [0, 0, 0]
    assert json.loads(purge.out)["runs"] == 0


def test_a_store_that_is_not_there_is_a_store_error(command, tmp_path: Path) -> None:
    assert command("server", "user", "list", "--data", str(tmp_path / "none")).code == 14


def test_a_key_that_is_too_short_is_a_usage_error(command, tmp_path: Path) -> None:
    assert command("server", "user", "add", "ada", "--key", "short", "--data", str(tmp_path)).code == 2


def test_a_port_in_use_is_a_store_error(command, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        got = command("server", "--port", port, "--data", str(tmp_path / "store"))

    assert got.code == 14
    assert port in got.err


@pytest.mark.parametrize("text", ["7", "d", "-1d", "7 days", "1e9d", "", "9" * 400 + "d"])
def test_a_retention_that_is_no_duration_is_a_usage_error(command, tmp_path: Path, text: str) -> None:
    assert command("server", "--retention", text, "--data", str(tmp_path)).code == 2


def test_a_missing_extra_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"pip install 'wbgql\[server\]'"), server_extra():
        raise ModuleNotFoundError("No module named 'starlette'", name="starlette")


def test_a_missing_module_of_our_own_is_not_taken_for_an_extra() -> None:
    with pytest.raises(ModuleNotFoundError), server_extra():
        raise ModuleNotFoundError("No module named 'wbgql.nothing'", name="wbgql.nothing")


def test_schema_check_counts_what_fits(command) -> None:
    got = command("schema", "check")

    assert got.code == 0
    assert json.loads(got.out)["operations"] >= json.loads(got.out)["result_types"] > 0


def test_schema_check_names_file_and_line_of_a_mistake(command, tmp_path: Path) -> None:
    (tmp_path / "mine.graphql").write_text("query Mine {\n  viewer {\n    nope\n  }\n}\n")
    got = command("schema", "check", str(tmp_path))

    assert (got.code, got.out) == (2, "")
    assert "mine.graphql:3: " in got.err
