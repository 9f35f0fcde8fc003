"""What names a run, a project, a version or a file, for every method of the client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import wbgql as wb
from tests.cli.answers import one_run, run, runs
from tests.fakes import FakeTransport, page
from tests.stored import World, version
from wbgql.artifacts import ArtifactPath
from wbgql.errors import UsageError
from wbgql.holds import HoldRegister
from wbgql.paths import ProjectPath, RunPath
from wbgql.settings import Settings

ELSEWHERE = RunPath("ada", "other", "r1")


def client(*answers: Any, tmp_path: Path | None = None, **settings: Any) -> tuple[wb.Client, FakeTransport]:
    """A client whose default project is acme/vision."""
    transport = FakeTransport(*answers)
    given = Settings(**{"api_key": "k" * 40, "entity": "acme", "project": "vision", **settings})
    holds = HoldRegister((tmp_path or Path()) / "holds.json")
    return wb.Client(settings=given, session=wb.Session(transport), holds=holds), transport


def listed(*names: str) -> tuple[wb.Client, FakeTransport, list[wb.Run]]:
    """Runs of ada/other, as a list of them gives them."""
    here, transport = client(runs(*map(run, names)))
    return here, transport, list(here.runs("ada/other"))


READING = {
    "run": lambda here, one: here.run(one),
    "files": lambda here, one: next(here.files(one)),
    "logged_artifacts": lambda here, one: next(here.logged_artifacts(one)),
    "used_artifacts": lambda here, one: next(here.used_artifacts(one)),
    "lineage": lambda here, one: here.lineage(one),
    "scan_history": lambda here, one: next(iter(here.scan_history(one))),
    "history": lambda here, one: next(iter(here.history(one))),
    "histories": lambda here, one: next(iter(here.history([one]))),
    "sample_history": lambda here, one: here.sample_history(one, ["loss"]),
    "history_exports": lambda here, one: here.history_exports(one),
    "system_metrics": lambda here, one: next(here.system_metrics(one)),
    "console_lines": lambda here, one: next(here.console_lines(one)),
    "last_console_lines": lambda here, one: here.last_console_lines(one, 1),
    "download_files": lambda here, one: here.download_files(one, "x"),
    "downloads": lambda here, one: here.download_files([one], "x"),
    "upsert_run": lambda here, one: here.upsert_run(one, notes="x"),
    "set_tags": lambda here, one: here.set_tags(one, ["x"]),
    "add_tags": lambda here, one: here.add_tags(one, "x"),
    "remove_tags": lambda here, one: here.remove_tags(one, "x"),
    "set_config": lambda here, one: here.set_config(one, {"x": 1}),
    "set_summary": lambda here, one: here.set_summary(one, {"x": 1}),
    "preview_delete": lambda here, one: here.preview_delete(one),
    "delete_run": lambda here, one: here.delete_run(one),
    "delete_runs": lambda here, one: here.delete_runs([one]),
    "undelete_runs": lambda here, one: here.undelete_runs("ada/other", [one]),
    "delete_files": lambda here, one: here.delete_files(one, ["x"]),
}
_NOT_ONE_RUN = {"history", "download_files", "histories", "downloads", "delete_runs", "undelete_runs"}


class _Sent(Exception):
    """The first request: where it goes is what is tested."""


@pytest.mark.parametrize("method", READING)
@pytest.mark.parametrize("kind", ["run", "path", "text"])
def test_every_method_takes_a_run_its_path_or_a_text(method: str, kind: str) -> None:
    one = listed("r1")[2][0]
    here, transport = client(_Sent())

    with pytest.raises(_Sent):
        READING[method](here, {"run": one, "path": one.path, "text": str(one.path)}[kind])
    ((_, sent),) = transport.sent
    assert (sent["entity"], sent["project"]) == ("ada", "other")
    assert "r1" in str({**sent, "entity": "", "project": ""}) or method == "undelete_runs"


@pytest.mark.parametrize("method", sorted(READING.keys() - _NOT_ONE_RUN))
def test_a_selection_is_not_one_run(method: str) -> None:
    here, transport = client()

    with pytest.raises(UsageError, match="for run in selection"):
        READING[method](here, here.runs("ada/other"))
    assert transport.sent == []


def test_tags_are_added_to_a_run_as_a_list_gave_it() -> None:
    bare = run("r1", config="{}", summaryMetrics="{}", notes=None)
    here, transport = client(runs(run("r1")), one_run(bare), _Sent())
    (one,) = here.runs("ada/other")

    with pytest.raises(_Sent):
        here.add_tags(one, "x")
    assert transport.sent[1][1]["project"] == "other"
    assert transport.sent[2][1]["tags"] == ["x"]


@pytest.mark.parametrize("method", ["delete_runs", "histories", "downloads"])
def test_the_default_project_never_completes_ids_of_a_list(method: str) -> None:
    here, transport, (one,) = listed("r1")

    with pytest.raises(
        UsageError, match=r"'r1' in a list has no project, and the default project is not used"
    ):
        READING[method](here, one.id)
    assert len(transport.sent) == 1  # the list itself


def test_ids_feed_a_deletion_only_with_their_project_and_paths_without() -> None:
    here, transport = client(runs(run("r1")), runs(run("r1")), _Sent(), _Sent())
    selection = here.runs("ada/other")

    for given, more in ((selection.ids(), {"project": "ada/other"}), (selection.paths(), {})):
        with pytest.raises(_Sent):
            here.delete_runs(given, **more)
        assert (transport.sent[-1][0], transport.sent[-1][1]["project"]) == ("LookUpRun", "other")


def test_a_run_of_another_project_than_the_one_named_is_refused() -> None:
    here, transport = client()

    for given in (ELSEWHERE, str(ELSEWHERE)):
        with pytest.raises(UsageError, match="is not in 'acme/vision', the project that was named"):
            here.undelete_runs("acme/vision", [given])
    assert transport.sent == []


def test_a_deletion_takes_no_selection() -> None:
    here, transport = client()

    for call in (here.delete_runs, lambda given: here.undelete_runs("acme/vision", given)):
        with pytest.raises(UsageError, match=r"explicit runs.*selection\.verified\(\)"):
            call(here.runs("ada/other"))
    assert transport.sent == []


@pytest.mark.parametrize("wrong", [None, 3, ["r1"], ProjectPath("a", "b")], ids=repr)
def test_what_names_no_run_is_an_error(wrong: Any) -> None:
    here, transport = client()

    with pytest.raises(UsageError, match="name a run by its path or give the run, not a"):
        here.run(wrong)
    assert transport.sent == []


def test_projects_are_taken_as_lists_give_them() -> None:
    project = {"id": "1", "name": "p", "entityName": "ada", "createdAt": "x", "readOnly": False}
    here, transport = client({"projects": page([project])}, _Sent(), _Sent(), _Sent(), _Sent())
    (found,) = here.projects("ada")

    for ask in (
        lambda: here.runs(found).first(),
        lambda: here.runs([found]).first(),
        lambda: next(here.artifacts(found)),
        lambda: next(here.fields(found)),
    ):
        with pytest.raises(_Sent):
            ask()
        assert (transport.sent[-1][1]["entity"], transport.sent[-1][1]["project"]) == ("ada", "p")


def test_versions_that_a_run_used_carry_their_project() -> None:
    home = {"id": "c", "name": "net", "project": {"name": "models", "entityName": "ada"}}
    answer = {"project": {"run": {"artifacts": page([version(0, artifactSequence=home)])}}}
    here, transport = client(answer, _Sent(), _Sent(), _Sent())
    (used,) = here.used_artifacts("r1")

    assert used.path == "ada/models/net:v0"
    assert used.artifact_path == ArtifactPath("ada", "models", "net", "v0")
    for given in (used, used.artifact_path, used.path):
        with pytest.raises(_Sent):
            here.artifact(given)
        assert (transport.sent[-1][1]["project"], transport.sent[-1][1]["name"]) == ("models", "net:v0")


@pytest.mark.parametrize(
    "fields",
    [{"artifactSequence": {"id": "c", "name": "net", "project": None}}, {"versionIndex": None}],
    ids=str,
)
def test_a_version_that_no_path_names_is_not_taken_for_another(fields: dict[str, Any]) -> None:
    here, transport = client({"project": {"run": {"artifacts": page([version(0, **fields)])}}})
    (used,) = here.used_artifacts("r1")

    assert used.path is None
    with pytest.raises(UsageError, match="so no path names it"):
        here.artifact(used)
    assert len(transport.sent) == 1


@pytest.mark.parametrize(
    "text", ["net:v0", "models/net:v0", "ada/models/net", "https://x/ada/models/artifacts/t/net"]
)
def test_a_version_to_delete_is_named_in_full(text: str) -> None:
    here, transport = client(base_url="https://x")

    with pytest.raises(UsageError, match="artifact path"):
        here.delete_artifact(text)
    assert transport.sent == []


def test_a_version_is_deleted_by_itself_its_path_its_text_or_its_id(world: World) -> None:
    for number in range(4):
        world.log("net", {"w": str(number).encode()})
    made = {one.name: one for one in world.client.artifacts(world.path)}
    one = made["net:v2"]

    for given in (made["net:v0"], made["net:v1"].artifact_path, one.path, made["net:v3"].id):
        assert world.client.delete_artifact(given, delete_aliases=True).state in (None, "DELETED")
    assert list(world.client.artifacts(world.path)) == []


def test_files_are_deleted_as_a_list_gives_them_and_only_from_their_run(world: World) -> None:
    for name in ("a", "b"):
        world.run(name)
        world.store(name, {"notes.txt": name.encode()})
    (mine,) = world.client.files(f"{world.path}/a", pattern="notes.txt")

    with pytest.raises(UsageError, match=r"'notes\.txt' is not the one of that name"):
        world.client.delete_files(f"{world.path}/b", [mine], force=True)
    assert world.client.delete_files(f"{world.path}/a", [mine], force=True).gone == ["notes.txt"]
    assert [one.name for one in world.client.files(f"{world.path}/b", pattern="notes.txt")] == ["notes.txt"]
