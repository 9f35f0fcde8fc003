"""Selections complete: many projects, the client's part of a filter, older servers, pages that are half there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

import wbgql as wb
from tests.fake_runs import RunsTransport, make_run
from tests.fakes import data_reply, error_reply
from wbgql.errors import (
    CoverageWarning,
    FilterError,
    FilterWarning,
    NotFetched,
    NotFound,
    ProjectionWarning,
    ResponseError,
    UsageError,
)
from wbgql.paths import ProjectPath
from wbgql.projects import iter_fields
from wbgql.runs import ProjectPattern, RunSelection
from wbgql.wire.session import Session

VISION, AUDIO, GONE = (ProjectPath("acme", name) for name in ("vision", "audio", "gone"))
NOW = datetime(2026, 3, 8, tzinfo=UTC)


def select(transport: RunsTransport, path: Any = VISION, **arguments: Any) -> RunSelection:
    return RunSelection(Session(transport), path, now=NOW, **arguments)


def two_projects(**more: Any) -> RunsTransport:
    return RunsTransport(
        projects={
            "vision": [make_run(number, summary={"acc": number / 10}) for number in range(5)],
            "audio": [make_run(number, summary={"acc": number / 10 + 0.05}) for number in range(3)],
        },
        **more,
    )


def test_pages_hold_nodes_of_one_project_each_and_none_is_empty() -> None:
    pages = list(select(two_projects(), [VISION, AUDIO], page_size=2).iter_pages())

    assert [(page.project, [node.name for node in page]) for page in pages] == [
        (VISION, ["r0", "r1"]),
        (VISION, ["r2", "r3"]),
        (VISION, ["r4"]),
        (AUDIO, ["r0", "r1"]),
        (AUDIO, ["r2"]),
    ]


def test_a_pattern_reads_every_project_of_the_entity() -> None:
    selection = select(two_projects(), ProjectPattern("acme"))

    assert [str(run.path) for run in selection if run.id == "r2"] == ["acme/vision/r2", "acme/audio/r2"]
    assert [(str(read.project), read.runs, read.complete) for read in selection.coverage.projects] == [
        ("acme/vision", 5, True),
        ("acme/audio", 3, True),
    ]
    assert selection.coverage.complete
    assert selection.coverage.runs == 8


def test_a_pattern_of_names_and_a_project_named_twice_are_read_once() -> None:
    assert len(select(two_projects(), [ProjectPattern("acme", "aud*"), AUDIO]).ids()) == 3


def test_the_count_of_several_projects_is_their_sum() -> None:
    assert select(two_projects(), [VISION, AUDIO], where='summary["acc"] > 0.12').count() == 5


def test_a_project_that_is_not_visible_is_named_and_the_others_are_read() -> None:
    selection = select(two_projects(), [VISION, GONE, AUDIO])

    with pytest.warns(CoverageWarning, match="'acme/gone' is missing here"):
        assert len(selection.ids()) == 8

    (unread,) = selection.coverage.unread
    assert unread.path == "acme/gone"
    assert "cannot see it" in unread.reason
    assert not selection.coverage.complete
    with pytest.warns(CoverageWarning):
        assert selection.count() == 8


def test_a_project_that_vanishes_meanwhile_is_told_with_what_it_gave() -> None:
    transport = two_projects(before={1: lambda transport: transport.projects.pop("vision")})
    selection = select(transport, [VISION, AUDIO], page_size=2)

    with pytest.warns(CoverageWarning, match="vanished, .* after 2 of its runs"):
        assert [str(run.path) for run in selection][:3] == [
            "acme/vision/r0",
            "acme/vision/r1",
            "acme/audio/r0",
        ]

    assert [(read.runs, read.complete) for read in selection.coverage.projects] == [(2, False), (3, True)]


def test_the_one_project_that_vanishes_is_an_error() -> None:
    transport = two_projects(before={1: lambda transport: transport.projects.pop("vision")})

    with pytest.raises(NotFound, match=r"vanished, .* after 2 of its runs"):
        select(transport, page_size=2).ids()


def test_nothing_visible_of_several_is_an_error() -> None:
    selection = select(two_projects(), [GONE, ProjectPath("acme", "lost")])

    with pytest.warns(CoverageWarning), pytest.raises(NotFound, match=r"nothing of 'acme/gone, acme/lost'"):
        selection.ids()


def test_a_pattern_that_no_project_matches_is_an_error() -> None:
    selection = select(two_projects(), ProjectPattern("acme", "x*"))

    with pytest.warns(CoverageWarning), pytest.raises(NotFound, match="no project that this key can see"):
        selection.ids()


def test_no_path_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="empty list"):
        select(two_projects(), [])


def test_the_first_ones_of_several_projects_are_the_first_over_all() -> None:
    accuracy = wb.summary["acc"]
    best = select(two_projects(), [AUDIO, VISION], order=-accuracy, limit=3, select=[accuracy])

    assert [(str(run.path), run[accuracy]) for run in best] == [
        ("acme/vision/r4", 0.4),
        ("acme/vision/r3", 0.3),
        ("acme/audio/r2", 0.25),
    ]
    first = select(two_projects(), [AUDIO, VISION], order=+accuracy).first()
    assert first is not None
    assert str(first.path) == "acme/vision/r0"
    with pytest.raises(NotFetched):
        _ = first.summary


def test_a_limit_over_several_projects_without_an_order_stops_reading() -> None:
    transport = two_projects()
    selection = select(transport, [VISION, AUDIO], limit=2)

    assert selection.ids() == ["r0", "r1"]
    assert [sent["project"] for _, sent in transport.sent] == ["vision"]
    assert not selection.coverage.complete


def test_the_client_reads_a_named_project_or_a_pattern() -> None:
    transport = two_projects()
    client = wb.Client(api_key="k" * 40, entity="acme", session=Session(transport))

    assert len(client.runs("acme/*").ids()) == 8
    assert len(client.runs(["vision", "acme/audio"]).ids()) == 8
    assert len(client.runs("*").ids()) == 8
    assert client.runs("vision").project_paths() == [VISION]


# What the server cannot decide


def dotted_and_lists() -> RunsTransport:
    return RunsTransport(
        *(
            make_run(
                number,
                config={"a.b": number % 2, "layers": [64, number], "lr": number / 10},
                summary={"acc": number / 10},
                host=f"node{number % 2}",
            )
            for number in range(6)
        )
    )


DOTTED = wb.config("a.b", client_side=True)
LAYERS = wb.config("layers", client_side=True)


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        (DOTTED == 1, ["r1", "r3", "r5"]),
        ('config["a.b"] == 1', ["r1", "r3", "r5"]),
        (LAYERS == [64, 3], ["r3"]),
        ('config["layers"] == [64, 3]', ["r3"]),
        (LAYERS != [64, 3], ["r0", "r1", "r2", "r4", "r5"]),
        (LAYERS.has(5), ["r5"]),
        ('5 in config["layers"]', ["r5"]),
        ((DOTTED == 1) & (wb.summary["acc"] > 0.2), ["r3", "r5"]),
        ((DOTTED == 1) | (wb.config["lr"] == 0.2), ["r1", "r2", "r3", "r5"]),
        (~((DOTTED == 1) | (wb.config["lr"] == 0.2)), ["r0", "r4"]),
        (~((DOTTED == 1) & (wb.run.host == "node1")), ["r0", "r2", "r4"]),
        (wb.config("lr", client_side=True) > 0.35, ["r4", "r5"]),
    ],
)
def test_the_client_decides_what_the_server_cannot(where: Any, ids: list[str]) -> None:
    selection = select(dotted_and_lists(), where=where, client_side=True, page_size=2)

    assert selection.ids() == ids
    assert selection.count() == len(ids)
    first = selection.first()
    assert first is not None
    assert first.id == ids[0]
    assert select(dotted_and_lists(), where=where, client_side=True, limit=1).ids() == ids[:1]
    assert select(dotted_and_lists(), where=where, client_side=True, stable=True, page_size=2).ids() == ids


def test_the_server_decides_its_part_and_only_what_is_needed_travels() -> None:
    transport = dotted_and_lists()

    (run,) = select(
        transport, where=(wb.summary["acc"] > 0.4) & LAYERS.has(5), select=["config['lr']"], client_side=True
    )

    (_, sent) = transport.sent[0]
    assert sent["filters"] == '{"summary_metrics.acc":{"$gt":0.4}}'
    assert sent["configKeys"] == ["lr", "layers"]
    assert sent["summaryKeys"] == ["acc"]  # what decides travels along, and is checked
    assert run.config == {"lr": 0.5}
    with pytest.raises(NotFetched):
        run.summary["acc"]


def test_a_key_with_a_dot_brings_its_whole_section_but_shows_what_was_selected() -> None:
    transport = dotted_and_lists()

    runs = list(select(transport, where=DOTTED == 1, select=[DOTTED], client_side=True))

    assert transport.sent[0][1]["configKeys"] is None
    assert [run[DOTTED] for run in runs] == [1, 1, 1]
    assert runs[0].config == {"a.b": 1}


def test_without_client_side_the_refusal_says_why_and_what_it_would_cost() -> None:
    for where in (DOTTED == 1, LAYERS.has(1), LAYERS == [1]):
        with pytest.raises(FilterError, match=r"wandb/wandb#\d+\).*client_side=True.*reads every run"):
            select(dotted_and_lists(), where=where)
    with pytest.raises(FilterError, match="client_side=True"):
        select(dotted_and_lists(), where='config["a.b"] == 1')
    with pytest.raises(FilterError, match="client_side=True"):
        select(dotted_and_lists(), where='config["layers"] == [1, 2]')


# Older and disobedient servers


def test_a_server_without_keys_is_asked_once_and_the_client_picks() -> None:
    transport = RunsTransport(
        *(make_run(number, config={"lr": number, "seed": 1}) for number in range(4)), takes_keys=False
    )
    session = Session(transport)
    selection = RunSelection(session, VISION, select=[wb.config["lr"]], page_size=2)

    assert [run.config for run in selection] == [{"lr": number} for number in range(4)]
    assert [run[wb.config["lr"]] for run in RunSelection(session, VISION, select=[wb.config["lr"]])] == [
        0,
        1,
        2,
        3,
    ]
    # On a busy machine the pages are counted as well, to read ahead.
    assert transport.names_sent().count("ListRuns") == 4
    assert "totalCount" not in transport.texts[-1]
    assert "no `keys` argument" in selection.explain().projection


def test_a_server_that_ignores_keys_is_noticed_once_and_the_client_picks() -> None:
    transport = RunsTransport(
        *(make_run(number, summary={"acc": number, "loss": 1}) for number in range(4)), ignores_keys=True
    )
    selection = select(transport, select=[wb.summary["acc"]], page_size=2)

    with pytest.warns(ProjectionWarning, match="ignores `keys`.*'loss'") as caught:
        assert [run.summary for run in selection] == [{"acc": number} for number in range(4)]

    assert len(caught) == 1
    assert "ignores `keys`" in selection.explain().projection


def test_another_refusal_is_not_taken_for_an_old_schema() -> None:
    transport = RunsTransport(
        make_run(1), page_reply=lambda *_: error_reply('invalid column "summary.x"', status=400)
    )

    with pytest.raises(ResponseError, match="invalid column"):
        select(transport).ids()
    assert transport.names_sent() == ["ListRuns"]


def test_attributes_that_are_seldom_wanted_travel_only_when_named() -> None:
    transport = RunsTransport(make_run(1, host="node1", duration=90))

    (plain,) = select(transport)
    (detailed,) = select(transport, select=[wb.run.host, wb.run.duration_s, wb.run.updated_at])

    assert [sent["withDetails"] for _, sent in transport.sent] == [False, True]
    for name in ("host", "duration_s", "updated_at", "notes"):
        with pytest.raises(NotFetched, match=rf"{name} was not fetched.*select=\[wb\.run\.{name}\]"):
            getattr(plain, name, None)
    assert (detailed.host, detailed[wb.run.duration_s], detailed.updated_at) == ("node1", 90, None)


# Pages that are half there


def half(number: int) -> Callable[[int, dict[str, Any]], Any]:
    def reply(page: int, data: dict[str, Any]) -> Any:
        if page != number:
            return None
        data["project"]["runs"]["edges"][1] = None
        return error_reply("deadline exceeded", data=data)

    return reply


def test_a_page_that_is_half_there_is_an_error_with_what_came() -> None:
    transport = RunsTransport(*map(make_run, range(6)), page_reply=half(1))

    with pytest.raises(
        ResponseError, match=r"1 of 2 runs are there, .*deadline exceeded.* 2 runs of 'acme/vision' were read"
    ) as caught:
        select(transport, page_size=2).ids()

    assert caught.value.data["project"]["runs"]["edges"][0]["node"]["name"] == "r2"


def test_rows_that_come_as_null_without_an_error_are_told() -> None:
    def reply(_page: int, data: dict[str, Any]) -> Any:
        data["project"]["runs"]["edges"][0]["node"] = None
        return data_reply(data)

    with pytest.warns(RuntimeWarning, match="rows came as null"):
        assert select(RunsTransport(make_run(1), make_run(2), page_reply=reply)).ids() == ["r2"]


# Explaining


def test_explain_says_what_is_sent_counted_and_estimated() -> None:
    transport = RunsTransport(
        *(make_run(number, summary={"acc": number}, config={"lr": 0.1}) for number in range(45)),
        fields={"summary_metrics.acc": "number", "config.lr.value": "number|string"},
    )
    accuracy, rate = wb.summary["acc"], wb.config["lr"]

    told = select(
        transport, where=accuracy.matches("^x") | (accuracy > 4), order=-accuracy, select=[rate], page_size=10
    ).explain()

    assert told.count == told.reads == 40
    assert (told.pages, told.requests, told.sampled) == (4, 4, 10)
    assert told.order == "-summary_metrics.acc"
    assert [(field.field, field.types, field.used) for field in told.fields] == [
        ('summary["acc"]', ("number",), ("where", "order")),
        ('config["lr"]', ("number", "string"), ("select",)),
    ]
    assert told.bytes_estimate == 0  # the stand-in has no bytes to count
    assert any("regular expression" in warning for warning in told.warnings)
    assert max(sent.get("first", 0) for name, sent in transport.sent if name == "ListRuns") <= 20
    text = str(told)
    assert "acme/vision: 40 runs match" in text
    assert 'config["lr"] is config.lr.value, number or string (select)' in text
    assert "picked by the server" in text


def test_explain_counts_the_keys_that_the_filter_looks_at() -> None:
    """They come along on every page."""

    def reply(_page: int, data: dict[str, Any]) -> Any:
        return replace(data_reply(data), bytes_received=len(json.dumps(data)))

    runs = [make_run(number, config={"text": "x" * 10_000}) for number in range(4)]
    told = select(RunsTransport(*runs, page_reply=reply), where=wb.config["text"] > "a").explain()

    assert told.bytes_estimate is not None
    assert told.bytes_estimate > 40_000


def test_explain_tells_the_clients_part_and_its_cost() -> None:
    told = select(
        dotted_and_lists(),
        where=(DOTTED == 1) & (wb.summary["acc"] > 0.2),
        client_side=True,
        limit=1,
        page_size=2,
    ).explain()

    assert told.filters == {"summary_metrics.acc": {"$gt": 0.2}}
    assert told.client_filter == 'config["a.b"] == 1'
    assert (told.count, told.reads, told.pages) == (3, 3, 2)
    assert 'decides config["a.b"] == 1: reads all 3 runs' in str(told)
    assert "this server cannot list typed keys" in str(told)


def test_explain_warns_of_misspelt_keys_and_of_values_of_another_kind() -> None:
    transport = RunsTransport(
        make_run(1, config={"optimizer": "adam"}),
        fields={"config.optimizer.value": "string", "summary_metrics.val/acc": "number"},
    )

    told = select(transport, where=(wb.config["optimizer"] > 3) & (wb.summary["val/ac"] > 1)).explain()

    assert 'no run has summary["val/ac"]; did you mean summary["val/acc"]?' in told.warnings
    assert 'config["optimizer"] > 3: compares with number, the runs hold string there' in told.warnings


def test_near_names_of_nested_keys_are_written_as_a_filter_takes_them() -> None:
    transport = RunsTransport(
        make_run(1, summary={"acc": {"max": 1}}, config={"model": {"value": {"depth": 1}}}),
        fields={"summary_metrics.acc.max": "number", "config.model.value.value.depth": "number"},
    )

    told = select(
        transport, where=(wb.summary["acc"]["mix"] > 3) & (wb.config["model"]["valu"]["depth"] > 1)
    ).explain()

    assert 'no run has summary["acc"]["mix"]; did you mean summary["acc"]["max"]?' in told.warnings
    assert (
        'no run has config["model"]["valu"]["depth"]; did you mean config["model"]["value"]["depth"]?'
        in told.warnings
    )


@pytest.mark.parametrize("given", ['summary["acc"]', "loss", wb.summary["acc"]], ids=str)
def test_one_field_where_a_list_belongs_is_refused_with_the_list_to_write(given: Any) -> None:
    with pytest.raises(FilterError, match=r"`select` is a list of fields, or '\*': write \["):
        select(two_projects(), select=given)


def test_nothing_found_because_of_another_kind_is_told() -> None:
    transport = RunsTransport(make_run(1, config={"lr": "0.1"}), fields={"config.lr.value": "string"})

    with pytest.warns(FilterWarning, match="the runs hold string there"):
        assert select(transport, where=wb.config["lr"] > 0.01).count() == 0


def test_explain_covers_several_projects_and_names_what_is_missing() -> None:
    with pytest.warns(CoverageWarning):
        told = select(two_projects(), [VISION, GONE, AUDIO]).explain()

    assert [(project.project, project.count) for project in told.projects] == [
        ("acme/vision", 5),
        ("acme/audio", 3),
    ]
    assert told.count == 8
    assert told.unread[0].startswith("acme/gone: ")
    assert msgspec.json.decode(msgspec.json.encode(told))["count"] == 8


def test_explain_of_a_missing_project_is_an_error() -> None:
    with pytest.raises(NotFound, match="no project 'acme/gone'"):
        select(two_projects(), GONE).explain()


def test_coverage_of_a_selection_that_was_not_used_is_empty() -> None:
    selection = select(two_projects())

    assert selection.coverage.projects == ()
    assert selection.coverage.unread == ()


# Fields


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("val", ["config.val.value", "config.model.value.val", "summary_metrics.val/acc"]),
        ("%val%", ["config.val.value", "config.model.value.val", "summary_metrics.val/acc"]),
        (
            "config",
            ["config.lr.value", "config.val.value", "config.model.value.val", "summary_metrics.val/acc"],
        ),
        (None, ["config.lr.value", "config.val.value", "config.model.value.val", "summary_metrics.val/acc"]),
    ],
)
def test_a_pattern_is_not_found_in_the_word_that_every_path_of_config_has(
    pattern: str | None, paths: list[str]
) -> None:
    """The stand-in gives every field, whatever the pattern, as a server does that finds `val` in `.value`."""
    held = ["config.lr.value", "config.val.value", "config.model.value.val", "summary_metrics.val/acc"]
    transport = RunsTransport(make_run(1), fields=dict.fromkeys(held, "number"))

    assert [field.path for field in iter_fields(Session(transport), VISION, pattern=pattern)] == paths
