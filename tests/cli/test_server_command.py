"""`wbgql server`, what an operator does to its store, and `wbgql schema check`."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
import requests

from tests.caller import UPSERT, Caller
from wbgql.server import audit_subject, start


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


def test_an_account_is_made_without_loading_what_answers_requests(tmp_path: Path) -> None:
    code = (
        "import sys, wbgql.cli.main as m; m.main(sys.argv[1:]);"
        "print([name for name in ('graphql', 'starlette', 'uvicorn', 'jinja2') if name in sys.modules], file=sys.stderr)"
    )
    command = ["server", "user", "add", "ada", "--data", str(tmp_path / "store")]
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout)["user"] == "ada"
    assert done.stderr.strip() == "[]"


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


def test_a_switch_given_next_to_a_preset_wins(tmp_path: Path) -> None:
    given = ["--like", "saas-2026", "--deleted-ids", "410", "--failing-reads", "0", "--port", "0"]
    command = [sys.executable, "-m", "wbgql", "server", *given, "--data", str(tmp_path / "store")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()
        lines = map(str.strip, process.stderr)
        caller = Caller(url, next(line for line in lines if re.fullmatch("[0-9a-f]{40}", line)))
        made = caller.upsert("p", name="r1")["bucket"]
        caller.ask("mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }", id=made["id"])
        again = caller.post(UPSERT, input={"entityName": "admin", "modelName": "p", "name": "r1"})
        logs = [
            requests.get(f"{url}{path}", auth=("api", caller.api_key), timeout=30).status_code
            for path in ("/audit_logs", "/admin/audit_logs")
        ]
        process.send_signal(signal.SIGINT)

    assert again.status_code == 410
    assert logs == [200, 404]


def test_a_misspelt_coordinate_ends_the_command_before_there_is_a_store(command, tmp_path: Path) -> None:
    got = command("server", "--without", "Run.storageByte", "--data", str(tmp_path / "store"))

    assert got.code == 2
    assert "did you mean storageBytes?" in got.err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("text", ["7", "d", "-1d", "7 days", "1e9d", "", "9" * 400 + "d"])
def test_a_retention_that_is_no_duration_is_a_usage_error(command, tmp_path: Path, text: str) -> None:
    assert command("server", "--retention", text, "--data", str(tmp_path)).code == 2


def test_schema_check_counts_what_fits(command) -> None:
    got = command("schema", "check")

    assert got.code == 0
    assert json.loads(got.out)["operations"] >= json.loads(got.out)["result_types"] > 0


def test_schema_check_names_file_and_line_of_a_mistake(command, tmp_path: Path) -> None:
    (tmp_path / "mine.graphql").write_text("query Mine {\n  viewer {\n    nope\n  }\n}\n")
    got = command("schema", "check", str(tmp_path))

    assert (got.code, got.out) == (2, "")
    assert "mine.graphql:3: " in got.err


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store with a project `ada/p` and a run in it."""
    with start(tmp_path, username="ada") as server:
        Caller(server.base_url, server.api_key).upsert("p", name="r1", entityName="ada")
    return str(tmp_path)


def test_a_rotated_key_replaces_all_that_the_user_had(command, store: str) -> None:
    command("server", "user", "add", "ada", "--key", "a" * 40, "--data", store)
    got = command("server", "key", "rotate", "ada", "--data", store)

    new = json.loads(got.out)["api_key"]
    (user,) = command("server", "user", "list", "--data", store).rows
    assert (user["keys"], len(new)) == (1, 40)
    with start(Path(store), username="other") as server:
        assert Caller(server.base_url, "a" * 40).post("{ viewer { id } }").status_code == 401
        assert Caller(server.base_url, new).ask("{ viewer { username } }") == {"viewer": {"username": "ada"}}
    assert command("server", "key", "rotate", "nobody", "--data", store).code == 2


def test_a_project_is_restricted_and_shared(command, store: str) -> None:
    command("server", "user", "add", "bob", "--data", store)
    restricted = command("server", "project", "restrict", "ada/p", "--member", "bob", "--data", store)
    shared = command("server", "project", "share", "ada/p", "--data", store)

    assert "invited: bob" in restricted.err
    assert shared.code == 0
    assert command("server", "project", "restrict", "ada/none", "--data", store).code == 2
    assert command("server", "project", "restrict", "ada", "--data", store).code == 2


def test_the_clock_is_shown_and_set_ahead(command, store: str) -> None:
    before = json.loads(command("server", "clock", "--data", store).out)["now"]
    after = json.loads(command("server", "clock", "--advance", "2d", "--data", store).out)["now"]

    assert (
        1.9 < (datetime.fromisoformat(after) - datetime.fromisoformat(before)).total_seconds() / 86400 < 2.1
    )


def test_requests_and_changes_are_listed(command, store: str) -> None:
    with start(Path(store), username="ada") as server:
        caller = Caller(server.base_url, server.api_key)
        storage_id = caller.upsert("p", name="r1", entityName="ada", jobProgram=None)["bucket"]["id"]
        caller.ask("mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }", id=storage_id)

    made, request = command("server", "audit", "--data", store).rows
    assert made["mutation"] == "upsertBucket"
    (change,) = command("server", "audit", "--changes", "--data", store).rows

    assert (request["actor"], request["mutation"], request["code"]) == ("ada", "deleteRun", 200)
    assert (change["actor"], change["action"]) == ("ada", "run:delete")
    assert change["keyed_hash"] == audit_subject(Path(store), "ada", "p", "r1")
