"""Lists of one command read by the next, while the default project has things of the same names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from tests.cli.conftest import Outcome
from tests.stored import World
from wbgql.cli.main import main
from wbgql.cli.shared.app import App
from wbgql.client import Client
from wbgql.errors import UsageError
from wbgql.safety.holds import HoldRegister
from wbgql.server import RunningServer
from wbgql.settings import Settings

Run = Callable[..., Outcome]

# Ids that `wandb.init(id=)` and the local server take. Source: wandb SDK 0.31.0, `validate_run_id` (2026-11).
IDS = [
    "ok",
    "run 1",
    "a  b",
    "50%",
    "50%25",
    "é1",
    'say "hi"',
    '"q"',
    "\U0001d53c",
    "x&y=z",
    "a|b",
    "-dash",
    "{x}",
]


@pytest.fixture
def mine(local_server: RunningServer) -> World:
    """The default project; runs of the same ids are in `other`."""
    world = World(local_server)
    for run_id in IDS:
        world.caller.upsert(world.project, name=run_id, state="finished")
    return world


@pytest.fixture
def other(local_server: RunningServer) -> World:
    world = World(local_server)
    for run_id in IDS:
        world.caller.upsert(world.project, name=run_id, state="finished")
    return world


@pytest.fixture
def make_client(local_server: RunningServer, mine: World, tmp_path: Path) -> Callable[..., Client]:
    settings = Settings(
        base_url=local_server.base_url, api_key=local_server.api_key, entity="admin", project=mine.project
    )
    return lambda **_: Client(settings=settings, holds=HoldRegister(tmp_path / "holds.json"))


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    return make_client()


@pytest.fixture
def run(make_client: Callable[..., Client], client: Client) -> Run:
    """Runs a command with that default project; `charset` is the encoding of its standard output."""
    host = urlsplit(client.settings.base_url).netloc

    def call(*argv: str, stdin: str = "", charset: str = "utf-8", apply: bool = False) -> Outcome:
        app = App(make_client=make_client, is_interactive=lambda: False, environ={})
        more = ("--apply", "--yes", "--host", host) if apply else ()
        with CliRunner(charset=charset).isolation(input=stdin) as (out, err, _):
            code = main((*argv, *more), app)
            return Outcome(code, out.getvalue().decode(charset), err.getvalue().decode(errors="replace"))

    return call


def left(world: World) -> list[str]:
    return sorted(world.client.runs(world.path).ids())


@pytest.mark.parametrize("charset", ["utf-8", "ascii"])
def test_runs_that_were_listed_are_deleted_and_no_others(
    run: Run, mine: World, other: World, charset: str
) -> None:
    listed = run("runs", "list", other.path, "--format", "ids", charset=charset).out
    hidden = run(
        "runs", "delete", "--ids-from", "-", "--format", "ids", stdin=listed, charset=charset, apply=True
    )

    assert (hidden.code, sorted(hidden.out.splitlines())) == (0, sorted(listed.splitlines()))
    assert (left(mine), left(other)) == (sorted(IDS), [])

    host = ("--yes", "--host", urlsplit(mine.client.settings.base_url).netloc)
    back = run("runs", "undelete", "--ids-from", "-", *host, stdin=hidden.out)
    assert (back.code, left(other)) == (0, sorted(IDS))


def test_bare_ids_are_read_only_with_the_project_of_the_same_command(
    run: Run, mine: World, other: World
) -> None:
    stdin = "\n".join(one for one in IDS if one != "a  b")
    refused = run("runs", "delete", "--ids-from", "-", stdin=stdin, apply=True)
    done = run("runs", "delete", other.path, "--ids-from", "-", stdin=stdin, apply=True)

    assert (refused.code, done.code) == (2, 0)
    assert (left(mine), left(other)) == (sorted(IDS), ["a  b"])


def test_ids_of_a_selection_delete_nothing_of_the_default_project(
    client: Client, mine: World, other: World
) -> None:
    selection = client.runs(other.path)

    with pytest.raises(UsageError, match="the default project is not used for lists"):
        client.delete_runs(selection.ids())
    done = client.delete_runs(selection.paths())
    assert {deletion.outcome for deletion in done} == {"hidden"}
    assert (left(mine), left(other)) == (sorted(IDS), [])


def test_runs_are_tagged_in_a_loop_over_their_list(client: Client, mine: World, other: World) -> None:
    for one in client.runs(other.path):
        client.add_tags(one, "seen")

    assert client.runs(other.path, where="'seen' in tags").count() == len(IDS)
    assert client.runs(mine.path, where="'seen' in tags").count() == 0


def test_versions_that_a_run_used_are_those_of_their_own_project(run: Run, mine: World, other: World) -> None:
    mine.log("net", {"w": b"mine"})
    used = other.log("net", {"w": b"other"})
    mine.use(used, "ok")

    for option in ("--used-by", "--logged-by"):
        assert run("artifacts", "list", option, f"{mine.path}/ok", "--format", "ids").code == 0
    listed = run("artifacts", "list", "--used-by", f"{mine.path}/ok", "--format", "ids").out
    done = run("artifacts", "delete", "--ids-from", "-", "--delete-aliases", stdin=listed, apply=True)

    assert listed == f"{other.path}/net:v0\n"
    assert done.code == 0, done.err
    assert [one.path for one in mine.client.artifacts(mine.path)] == [f"{mine.path}/net:v0"]
    assert list(mine.client.artifacts(other.path)) == []


@pytest.mark.parametrize(
    "text", ["net:v0", "vision/net:v0", "https://elsewhere.example/a/b/artifacts/t/net/v0"]
)
def test_a_version_in_a_list_is_named_in_full_and_on_this_server(run: Run, text: str) -> None:
    got = run("artifacts", "delete", "--ids-from", "-", stdin=f"{text}\n")

    assert got.code == 2
    assert got.out == ""


def test_a_selection_of_runs_feeds_histories_and_downloads(
    client: Client, mine: World, other: World, tmp_path: Path
) -> None:
    other.store("run 1", {"notes.txt": b"hello"})
    other.caller.log(other.project, "run 1", {"_step": 0, "loss": 1.0})
    selection = client.runs(other.path, where="id == 'run 1'")
    given: list[Any] = [selection, list(selection), selection.paths(), map(str, selection.paths())]

    for number, runs in enumerate(given):
        done = client.download_files(runs, tmp_path / str(number), pattern="notes.txt")
        assert [file.name for file in done.files] == [f"{other.path}/run 1/notes.txt"]
    for runs in (*given[:3], map(str, selection.paths())):
        assert [(str(row.run), row.values["loss"]) for row in client.history(runs)] == [
            (f"{other.path}/run 1", 1.0)
        ]
