"""`artifacts delete`, `files delete` and `runs delete --with-artifacts` on the local server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from tests.changes.test_deletes_parts import finished
from tests.cli.conftest import Outcome
from tests.stored import World
from wbgql.cli.main import main
from wbgql.cli.shared.app import App
from wbgql.client import Client
from wbgql.safety.holds import HoldRegister
from wbgql.server import RunningServer
from wbgql.settings import Settings

Run = Callable[..., Outcome]


@pytest.fixture
def holds(tmp_path: Path) -> HoldRegister:
    return HoldRegister(tmp_path / "holds.json")


@pytest.fixture
def run(local_server: RunningServer, holds: HoldRegister) -> Run:
    """Runs a command against the local server. `host` stands for its name."""
    host = urlsplit(local_server.base_url).netloc

    def make_client(**_: Any) -> Client:
        settings = Settings(base_url=local_server.base_url, api_key=local_server.api_key)
        return Client(settings=settings, holds=holds)

    def call(*argv: str, stdin: str = "", interactive: bool = False) -> Outcome:
        app = App(make_client=make_client, is_interactive=lambda: interactive, environ={})
        filled = [host if part == "HOST" else part for part in argv]
        with CliRunner().isolation(input=stdin) as (out, err, _):
            code = main(filled, app)
            return Outcome(code, out.getvalue().decode(), err.getvalue().decode())

    return call


YES = ("--apply", "--yes", "--host", "HOST")


def left(world: World, collection: str = "net") -> list[str]:
    return [version.path for version in world.client.artifacts(world.path, collection=collection)]


def test_versions_are_shown_and_only_then_deleted_by_their_paths(world: World, run: Run) -> None:
    world.run("r1")
    for text in (b"1", b"2", b"3"):
        world.log("net", {"a": text}, runName="r1")
    paths = "".join(f"{path}\n" for path in reversed(left(world)))

    dry = run("artifacts", "delete", "--ids-from", "-", stdin=paths)
    refused = run("artifacts", "delete", "--ids-from", "-", "--apply", stdin=paths)
    kept = left(world)
    done = run("artifacts", "delete", "--ids-from", "-", *YES, stdin=paths)

    assert [row["would"] for row in dry.rows] == ["delete"] * 3
    assert "dry run, nothing was sent; it would: delete 3" in dry.err
    assert (dry.code, refused.code, done.code, len(kept)) == (0, 7, 0, 3)
    assert [row["outcome"] for row in done.rows] == ["deleted"] * 3
    assert left(world) == []


def test_the_phrase_names_what_goes(world: World, run: Run) -> None:
    world.run("r1")
    world.log("net", {"a": b"1"}, runName="r1")
    (path,) = left(world)

    phrase = f"delete 1 version in {world.path}"
    got = run("artifacts", "delete", path, "--apply", stdin=f"{phrase}\n", interactive=True)

    assert got.code == 0
    assert f"type {phrase!r} to go on: " in got.err
    assert "versions 1" in got.err


def test_what_is_kept_is_listed_and_does_not_end_the_loop(world: World, run: Run) -> None:
    finished(world)
    world.log("net", {"a": b"1"}, runName="r1", aliases=["best"])
    world.log("net", {"a": b"2"}, runName="r1")
    paths = [f"{world.path}/run-r1-history:v0", f"{world.path}/net:v0", f"{world.path}/net:v1"]

    dry = run("artifacts", "delete", *paths)
    done = run("artifacts", "delete", *paths, *YES)
    again = run("artifacts", "delete", paths[1], *YES, "--delete-aliases")

    assert [row["would"] for row in dry.rows] == ["keep", "keep", "delete"]
    assert [row["outcome"] for row in done.rows] == ["kept", "kept", "deleted"]
    assert (dry.code, done.code, again.code) == (0, 3, 0)


def test_a_held_version_exits_with_6_and_a_path_that_is_not_whole_with_2(
    world: World, run: Run, holds: HoldRegister
) -> None:
    world.run("r1")
    world.log("net", {"a": b"1"}, runName="r1")
    holds.add("project", world.path, reason="CASE-1", added_by="ada", now=datetime(2026, 1, 1, tzinfo=UTC))

    held = run("artifacts", "delete", f"{world.path}/net:v0", *YES)

    assert (held.code, held.rows[0]["outcome"]) == (6, "held")
    assert run("artifacts", "delete", "net:v0", *YES).code == 2
    assert run("artifacts", "delete", f"{world.path}/net", *YES).code == 2
    assert run("artifacts", "delete", f"{world.path}/none:v0", *YES).code == 13
    assert len(left(world)) == 1


def test_files_that_a_glob_names_are_shown_and_then_deleted(world: World, run: Run) -> None:
    path = finished(world)
    world.store("r1", {"media/a.png": b"1", "media/b.png": b"2", "notes.txt": b"3"})

    dry = run("files", "delete", str(path), "--glob", "media/*")
    done = run("files", "delete", str(path), "--glob", "media/*", *YES)

    assert [(row["name"], row["would"]) for row in dry.rows] == [
        ("media/a.png", "delete"), ("media/b.png", "delete"),
    ]  # fmt: skip
    assert {row["name"] for row in done.rows if row["outcome"] == "gone"} == {"media/a.png", "media/b.png"}
    assert (dry.code, done.code) == (0, 0)
    names = [file.name for file in world.client.files(path)]
    assert "notes.txt" in names
    assert not {"media/a.png", "media/b.png"} & set(names)
    assert run("files", "delete", str(path), "--glob", "none/*", *YES).code == 13
    assert run("files", "delete", str(path), *YES).code == 2


def test_a_run_goes_with_its_artifacts_and_what_stays_is_listed(world: World, run: Run) -> None:
    path = finished(world)
    world.log("net", {"a": b"1"}, runName="r1")
    world.log("best", {"a": b"2"}, runName="r1", aliases=["best"])
    other = finished(world, "r2")
    world.log("theirs", {"a": b"3"}, runName="r2")

    dry = run("runs", "delete", str(path), "--with-artifacts")
    done = run("runs", "delete", str(path), "--with-artifacts", *YES)

    would = {row["path"].rpartition("/")[2]: row["would"].partition(":")[0] for row in dry.rows}
    outcomes = {row["path"].rpartition("/")[2]: row["outcome"] for row in done.rows}
    assert would == {"r1": "hide", "net:v0": "delete", "best:v0": "keep", "run-r1-history:v0": "keep"}
    assert outcomes == {"r1": "hidden", "net:v0": "deleted", "best:v0": "kept", "run-r1-history:v0": "kept"}
    assert (dry.code, done.code) == (0, 0)
    assert left(world, "theirs") == [f"{world.path}/theirs:v0"]
    assert world.client.run(other).id == "r2"


def test_a_held_run_keeps_its_artifacts(world: World, run: Run, holds: HoldRegister) -> None:
    path = finished(world)
    world.log("net", {"a": b"1"}, runName="r1")
    holds.add("run", str(path), reason="CASE-1", added_by="ada", now=datetime(2026, 1, 1, tzinfo=UTC))

    got = run("runs", "delete", str(path), "--with-artifacts", *YES)

    assert got.code == 6
    assert left(world) == [f"{world.path}/net:v0"]


def test_options_for_artifacts_need_artifacts(run: Run) -> None:
    assert run("runs", "delete", "a/b/c", "--delete-aliases").code == 2


def test_deleted_runs_are_listed_and_the_ids_bring_them_back(world: World, run: Run) -> None:
    path = finished(world)
    run("runs", "delete", str(path), *YES)

    listed = run("runs", "list", world.path, "--deleted")
    hidden = run("runs", "list", world.path, "--deleted", "--format", "ids")
    back = run("runs", "undelete", "--ids-from", "-", *YES[1:], stdin=hidden.out)

    assert [(row["path"], row["known_from"]) for row in listed.rows] == [(str(path), "server")]
    assert listed.err == ""
    assert back.rows == [{"path": str(path), "outcome": "restored"}]
    assert run("runs", "list", world.path, "--deleted", "--where", "state == 'x'").code == 2


_LINK = "mutation Link($input: LinkArtifactInput!) { linkArtifact(input: $input) { versionIndex } }"


def test_a_linked_version_is_kept_and_the_link_is_not_taken_for_it(world: World, run: Run) -> None:
    world.run("r1")
    version = world.log("net", {"a": b"1"}, runName="r1")
    given = {
        "artifactID": version,
        "artifactPortfolioName": "portfolio",
        "entityName": "admin",
        "projectName": world.project,
        "aliases": [],
    }
    world.caller.ask(_LINK, input=given)

    kept = run("artifacts", "delete", f"{world.path}/net:v0", *YES)
    link = run("artifacts", "delete", f"{world.path}/portfolio:v0", "--delete-links")
    done = run("artifacts", "delete", f"{world.path}/net:v0", *YES, "--delete-links")

    assert (kept.code, kept.rows[0]["outcome"]) == (6, "kept")
    assert f"is linked into {world.path}/portfolio" in kept.err
    assert link.code == 2
    assert f"is a link to '{world.path}/net:v0'" in link.err
    assert (done.code, done.rows[0]["outcome"]) == (0, "deleted")


@pytest.mark.parametrize("option", ["--where", "--collection", "--type"])
def test_there_is_no_filter_on_the_deletion_of_versions(run: Run, option: str) -> None:
    got = run("artifacts", "delete", option, "x", "--apply")

    assert got.code == 2
    assert "--format ids | wbgql artifacts delete --ids-from -" in got.err
