"""Selections against a real server: many projects, dotted keys, runs that come and go while they are read."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import wbgql as wb
from tests.bulk import FIRST_INSTANT, BulkRun, delete_runs, load_runs, make_run, write_runs
from wbgql.errors import CoverageWarning, NotFound, UnstableWarning
from wbgql.paths import RunPath, quoted_path
from wbgql.server import RunningServer, add_user, start


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with start(tmp_path_factory.mktemp("selections")) as running:
        load_runs(running.data, "alpha", 2500)
        load_runs(running.data, "beta", 40)
        write_runs(running.data, "lists", map(make_listed, range(30)))
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[wb.Client]:
    with wb.Client(base_url=server.base_url, api_key=server.api_key) as opened:
        yield opened


def make_listed(number: int) -> BulkRun:
    return BulkRun(
        name=f"listed{number}",
        created_at=FIRST_INSTANT + timedelta(seconds=number // 10),
        config={"data.split": "val" if number % 3 else "test", "layers": [64, number % 4]},
        summary={"acc": number / 30},
    )


_projects = itertools.count()


@pytest.fixture
def moving(server: RunningServer) -> tuple[Path, str]:
    """A project of 300 runs of its own, twenty for each instant."""
    name = f"moving-{next(_projects)}"
    runs = (
        BulkRun(name=f"m{number:03}", created_at=FIRST_INSTANT + timedelta(seconds=number // 20))
        for number in range(300)
    )
    write_runs(server.data, name, runs)
    return server.data, name


def test_a_whole_project_is_the_same_by_offset_and_by_creation_time(client: wb.Client) -> None:
    by_offset = client.runs("admin/alpha").ids()
    before = client.stats.requests

    assert (
        client.runs("admin/alpha", stable=True).ids() == by_offset == [make_run(n).name for n in range(2500)]
    )
    assert client.stats.requests - before == 4


def test_a_whole_entity_is_read_project_by_project(client: wb.Client) -> None:
    selection = client.runs("admin/*eta", select=["summary['acc']"], where="summary['acc'] > 0.5")

    ids = selection.ids()

    assert len(ids) == selection.count() == sum(make_run(n).summary["acc"] > 0.5 for n in range(40))
    assert [str(read.project) for read in selection.coverage.projects] == ["admin/beta"]


def test_the_best_runs_over_projects_come_first(client: wb.Client) -> None:
    accuracy = wb.summary["acc"]
    best = client.runs(["admin/alpha", "admin/beta"], order=-accuracy, select=[accuracy], limit=5)

    values = [run[accuracy] for run in best]

    everything = [make_run(n).summary["acc"] for n in (*range(2500), *range(40))]
    assert values == sorted(everything, reverse=True)[:5]


def test_a_missing_project_beside_others_is_named(client: wb.Client) -> None:
    selection = client.runs(["admin/beta", "admin/nowhere"])

    with pytest.warns(CoverageWarning, match="admin/nowhere"):
        assert len(selection.ids()) == 40
    assert [unread.path for unread in selection.coverage.unread] == ["admin/nowhere"]


@pytest.mark.parametrize("stable", [False, True])
def test_dotted_keys_and_lists_are_decided_by_the_client(client: wb.Client, stable: bool) -> None:
    split, layers = wb.config("data.split", client_side=True), wb.config("layers", client_side=True)
    selection = client.runs(
        "admin/lists",
        where=(split == "val") & layers.has(3) & (wb.summary["acc"] > 0.3),
        select=[split],
        client_side=True,
        stable=stable,
        page_size=7,
    )

    expected = [f"listed{n}" for n in range(30) if n % 3 and n % 4 == 3 and n / 30 > 0.3]
    assert selection.ids() == expected
    assert selection.count() == len(expected)
    assert {run[split] for run in selection} == {"val"}


def test_details_come_from_the_server(client: wb.Client) -> None:
    (run,) = client.runs("admin/beta", limit=1, select=[wb.run.host, wb.run.duration_s, wb.run.updated_at])

    assert run.host == "node-0"
    assert run.duration_s is not None
    assert run.updated_at is not None


def test_explain_is_near_what_is_then_sent(client: wb.Client) -> None:
    selection = client.runs(
        "admin/alpha",
        where=wb.summary["acc"] > 0.2,
        select=[wb.summary["acc"], wb.config["lr"]],
        page_size=500,
    )

    told = selection.explain()
    before = (client.stats.requests, client.stats.bytes_received)
    read = sum(1 for _ in selection)

    assert told.reads == told.count == read
    assert told.requests == client.stats.requests - before[0]
    assert told.bytes_estimate is not None
    assert 0.6 < told.bytes_estimate / (client.stats.bytes_received - before[1]) < 1.6
    assert [(field.field, field.types) for field in told.fields] == [
        ('summary["acc"]', ("number",)),
        ('config["lr"]', ("number",)),
    ]
    assert "picked by the server" in str(told)


def test_a_stable_reading_gives_all_that_stay_while_runs_vanish_and_begin(
    client: wb.Client, moving: tuple[Path, str]
) -> None:
    data, project = moving
    pages = client.runs(f"admin/{project}", stable=True, page_size=7, on_unstable="warn").iter_pages()
    got: list[str] = []

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableWarning)
        for number, page in enumerate(pages):
            got += [node.name for node in page]
            if number in range(3, 30, 4):
                delete_runs(data, project, [got[0 - number], f"m{number * 7:03}"])
                write_runs(
                    data,
                    project,
                    [BulkRun(f"new{number}", created_at=FIRST_INSTANT + timedelta(hours=number))],
                )

    left = set(client.runs(f"admin/{project}").ids())
    assert len(got) == len(set(got))
    assert left <= set(got)


def test_reading_by_offset_tells_that_runs_were_missed(client: wb.Client, moving: tuple[Path, str]) -> None:
    data, project = moving
    pages = client.runs(f"admin/{project}", page_size=50).iter_pages()
    got: list[Any] = list(next(pages))
    delete_runs(data, project, [node.name for node in got[:5]])

    with pytest.warns(UnstableWarning, match="295 runs were read, 300 matched"):
        got += [node for page in pages for node in page]


def test_what_was_cleared_and_removed_is_found_as_missing(client: wb.Client) -> None:
    path = "admin/cleared/a"
    client.upsert_run(
        path, group="g", job_type="j", notes="n", config={"person": "x", "keep": 1}, state="finished"
    )

    client.upsert_run(path, group="", job_type="", notes="")
    client.unset_config(path, "person")

    missing = (wb.run.group == None) & (wb.run.job_type == None) & wb.config["person"].missing()  # noqa: E711
    assert client.runs("admin/cleared", where=missing).ids() == ["a"]
    run = client.run(path)
    assert (run.notes, run.config) == (None, {"keep": 1})


def test_an_entity_that_does_not_exist_is_no_empty_list(client: wb.Client, server: RunningServer) -> None:
    add_user(server.data, "newcomer")

    assert list(client.projects("newcomer")) == []
    with pytest.raises(NotFound):
        client.runs("nosuch/*").ids()
    with pytest.raises(NotFound, match="no entity 'nosuch': it does not exist, or this key cannot see it"):
        list(client.projects("nosuch"))


def test_a_project_with_blanks_in_its_name_is_addressed_as_it_is_listed(client: wb.Client) -> None:
    for name in (" lead", "trail ", "in side"):
        client.upsert_run(RunPath("admin", name, "r1"), state="finished")

    listed = [project for project in client.projects() if " " in project.name]
    for project in listed:
        assert client.runs(project).ids() == client.runs(quoted_path(project.path)).ids() == ["r1"]
        assert client.run(f"{quoted_path(project.path)}/r1").path.project == project.name
    assert sorted(project.name for project in listed) == [" lead", "in side", "trail "]
    with pytest.raises(NotFound):
        client.runs("admin/lead").ids()
