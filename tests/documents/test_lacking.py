"""Servers whose schema lacks what not every server has: what commands and objects say then."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.caller import new_project
from tests.cli.conftest import Command, Outcome
from tests.documents.test_evidence import used
from tests.lacking import LackingTransport
from tests.stored import World
from tests.wire.changed_answers import COMMANDS
from tests.wire.test_changed_answers import project
from wbgql import expressions as wb
from wbgql.cli.shared import exit_codes
from wbgql.client import Client
from wbgql.documents import load_documents
from wbgql.erasure.probing.probe import Probe
from wbgql.errors import CoverageWarning, NotServed
from wbgql.paths import ProjectPath
from wbgql.safety.holds import HoldRegister
from wbgql.server import RunningServer
from wbgql.settings import Settings
from wbgql.viewer import Retention, get_retention, get_server_info, get_undo_window
from wbgql.wire.session import Session
from wbgql.wire.transport import GqlTransport, Transport

__all__ = ["project"]  # a fixture


@pytest.fixture(scope="module")
def settings(local_server: RunningServer) -> Settings:
    return Settings(base_url=local_server.base_url, api_key=local_server.api_key)


def session(settings: Settings, *coordinates: str) -> Session:
    return Session(LackingTransport(GqlTransport(settings), *coordinates))


@pytest.fixture(scope="module")
def optional() -> list[str]:
    """All fields and arguments that the documents can do without; arguments before their fields.

    Types are left out: a document can do without the name of one, and not without its fields.
    """
    names = (name for name, is_needed in used(load_documents()).items() if not is_needed)
    return sorted((name for name in names if "__" not in name and "." in name), reverse=True)


def run(server: Transport, folder: Path, name: str, path: str) -> Outcome:
    command = Command(folder, server=server)
    outcome = command(*(part.format(path=path, folder=folder / "out") for part in COMMANDS[name]))
    shutil.rmtree(folder / "out", ignore_errors=True)
    return outcome


# What cannot be answered without, what shows less, and what says so on stderr only.
CANNOT = {"fields": "the server has no field for the keys of"}
SHOWS_LESS = {
    "runs list --select *": '"(host|duration_s)":[^,]*,',
    "runs show": '  "(host|duration_s)": .*\n',
}
SAYS = {
    "runs list --select *": "warning: host, duration_s: not known, because this server's schema has no Run.host",
    "runs show": "not known, because this server's schema has no field for it: host, duration_s",
    "runs export": "warning: host, duration_s: not known",
}


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("runs explain", "erase plan")])
def test_every_command_works_without_what_is_optional(
    name: str, optional: list[str], settings: Settings, project: str, tmp_path: Path
) -> None:
    HoldRegister(tmp_path / "holds.json").create()
    plain = run(GqlTransport(settings), tmp_path, name, project)
    outcome = run(LackingTransport(GqlTransport(settings), *optional), tmp_path, name, project)

    if name in CANNOT:
        assert (outcome.code, CANNOT[name] in outcome.err) == (exit_codes.LACKING, True)
        return
    assert (outcome.code, outcome.out) == (exit_codes.OK, re.sub(SHOWS_LESS.get(name, "$^"), "", plain.out))
    assert SAYS.get(name, plain.err) in outcome.err


def test_a_run_says_what_its_server_lacks(settings: Settings, world: World) -> None:
    world.run("r1")
    with Client(settings=settings, session=session(settings, "Run.host", "Run.computeSeconds")) as client:
        alone = client.run(f"{world.path}/r1")
        with pytest.warns(CoverageWarning, match=r"^host: not known, because .* has no Run\.host$"):
            (listed,) = client.runs(world.path, select=[wb.run.host])
        for found in (alone, listed):
            with pytest.raises(NotServed, match=r"host is not known, because the schema .* has no Run\.host"):
                getattr(found, "host", None)
            with pytest.raises(NotServed, match=r"no Run\.computeSeconds"):
                found[wb.run.duration_s]
            with pytest.raises(NotServed, match=r"no Run\.host"):
                found.to_document()["host"]


def test_a_filter_and_an_order_by_what_a_server_does_not_show_are_left_to_it(
    settings: Settings, world: World
) -> None:
    world.run("r1")
    with Client(settings=settings, session=session(settings, "Run.host", "Run.updatedAt")) as client:
        assert len(list(client.runs(world.path, where=wb.run.host == "none"))) == 0
        assert len(list(client.runs(world.path, order=wb.run.updated_at))) == 1


APPLY = ("--apply", "--yes", "--host", "api.wandb.ai")
NEEDED = {
    "Artifact.usedBy(first:)": (("artifacts", "lineage", "{path}/net:v0"), "Runs that used a version"),
    "Run.tags": (("runs", "delete", "{path}/r1"), "before a deletion is shown"),
    "Run.logLines(useImprovedPagination:)": (("logs", "{path}/r1"), "give the last lines only: `--last`"),
    "Mutation.deleteRun": (("runs", "delete", "{path}/r1", *APPLY), "nothing was changed"),
    "DeleteRunInput.deleteArtifacts": (("runs", "delete", "{path}/r1", *APPLY), "nothing was changed"),
    "Mutation.undeleteRuns": (("runs", "undelete", "{hidden}", *APPLY[1:]), "nothing was changed"),
}


@pytest.fixture(scope="module")
def hidden(local_server: RunningServer) -> str:
    """A run that was deleted."""
    world = World(local_server)
    world.run("gone")
    world.run("stays")
    world.delete_run("gone")
    return f"{world.path}/gone"


@pytest.mark.parametrize("coordinate", NEEDED)
def test_what_a_command_cannot_do_without_is_named(
    coordinate: str, settings: Settings, project: str, hidden: str, tmp_path: Path
) -> None:
    HoldRegister(tmp_path / "holds.json").create()
    argv, purpose = NEEDED[coordinate]
    server = LackingTransport(GqlTransport(settings), coordinate)

    outcome = Command(tmp_path, server=server)(*(part.format(path=project, hidden=hidden) for part in argv))

    assert outcome.code == exit_codes.LACKING
    assert f"has no {coordinate}, which this operation cannot do without" in outcome.err
    assert purpose in outcome.err
    with Client(settings=settings) as client:
        assert client.run(f"{project}/r1").state == "finished"


def test_what_a_server_does_not_say_of_itself_is_unknown(settings: Settings) -> None:
    lacks = ("ServerInfo.latestLocalVersionInfo", "ServerInfo.features", "ServerInfo.dataRetentionDuration")
    with session(settings, *lacks) as old:
        info = get_server_info(old)
        assert info is not None
        assert (info.version, info.update, info.enabled_features) == (None, None, [])
        assert get_retention(old) == Retention("wbgql-local", None)
        assert get_undo_window(old) is None
    with session(settings, *lacks, "ServerInfo.deploymentId") as old:
        assert get_retention(old) == Retention(None, None)


def test_the_probe_tells_no_field_from_null(settings: Settings, tmp_path: Path) -> None:
    register = HoldRegister(tmp_path / "holds.json")
    register.create()
    with session(settings, "Run.deletedAt") as old:
        profile = Probe(old, ProjectPath("admin", f"{new_project()}-probe"), register).run(settings.base_url)

    assert profile.answer("deleted_at") == "no_field"
    assert profile.answer("run_after_delete") == "null"
