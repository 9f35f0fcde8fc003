"""Run selections: what is sent for a page, what a run gives back, how a bad filter shows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

import wbgql as wb
from tests.fakes import FakeTransport, error_reply, page
from wbgql.errors import (
    FilterError,
    FilterWarning,
    NotFetched,
    NotFound,
    ServerUnavailable,
    UnknownKeyWarning,
    UsageError,
)
from wbgql.paths import ProjectPath, RunPath
from wbgql.runs import Run, RunSelection, get_run, list_run_ids
from wbgql.wire.retry import RetryPolicy
from wbgql.wire.session import Session

PATH = ProjectPath("acme", "vision")
NOW = datetime(2026, 3, 8, tzinfo=UTC)


def node(run_id: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"S-{run_id}",
        "name": run_id,
        "displayName": f"run {run_id}",
        "state": "finished",
        "tags": None,
        "group": None,
        "jobType": None,
        "sweepName": None,
        "createdAt": "2026-01-01T00:00:00",
        "heartbeatAt": None,
        "user": {"username": "ada"},
        **more,
    }


def runs(*nodes: Any, cursor: str | None = None) -> dict[str, Any]:
    return {"project": {"runs": page(nodes, cursor=cursor)}}


def select(transport: FakeTransport, **arguments: Any) -> RunSelection:
    return RunSelection(Session(transport), PATH, now=NOW, **arguments)


def test_a_selection_sends_nothing_until_it_is_used() -> None:
    transport = FakeTransport()

    select(transport, where=wb.summary["loss"] > 1)

    assert transport.sent == []


def test_filter_order_and_projection_travel_to_the_server() -> None:
    found = node(
        "a",
        summaryMetrics='{"val/acc": 0.95}',
        config='{"lr":{"value":0.1}}',
        createdAt="2026-03-02T00:00:00",
    )
    transport = FakeTransport(runs(found))
    accuracy, rate = wb.summary["val/acc"], wb.config["lr"]

    (run,) = select(
        transport,
        where=(accuracy > 0.9) & ~wb.run.tags.has("keep") & (wb.run.created_at > wb.ago("7d")),
        order=-accuracy,
        select=[accuracy, rate],
        limit=20,
    )

    ((name, sent),) = transport.sent
    assert name == "ListRuns"
    assert json.loads(sent["filters"]) == {
        "$and": [
            {"summary_metrics.val/acc": {"$gt": 0.9}},
            {"$or": [{"tags": None}, {"tags": {"$ne": "keep"}}]},
            {"createdAt": {"$gt": "2026-03-01T00:00:00Z"}},
        ]
    } or json.loads(sent["filters"])["summary_metrics.val/acc"] == {"$gt": 0.9}
    assert sent["order"] == "-summary_metrics.val/acc"
    assert (sent["first"], sent["after"]) == (20, None)
    assert (sent["withConfig"], sent["configKeys"]) == (True, ["lr"])
    assert (sent["withSummary"], sent["summaryKeys"]) == (True, ["val/acc"])
    assert (run.id, run[accuracy], run[rate]) == ("a", 0.95, 0.1)


def test_nothing_of_config_and_summary_travels_unless_asked_for() -> None:
    transport = FakeTransport(runs(node("a")), runs(node("a", config="{}", summaryMetrics="{}")))

    assert [run.id for run in select(transport)] == ["a"]
    assert [run.id for run in select(transport, select="*")] == ["a"]

    bare, everything = (sent for _, sent in transport.sent)
    assert (bare["withConfig"], bare["withSummary"]) == (False, False)
    assert (everything["withConfig"], everything["configKeys"]) == (True, None)
    assert (everything["withSummary"], everything["summaryKeys"]) == (True, None)


def test_a_nested_key_asks_for_its_top_level_key_alone() -> None:
    transport = FakeTransport(
        runs(node("a", config='{"model":{"value":{"depth":3}}}', summaryMetrics='{"loss":{"min":0.1}}'))
    )
    depth, least = wb.config["model"]["depth"], wb.summary["loss"].min

    (run,) = select(transport, select=[depth, least])

    assert transport.sent[0][1]["configKeys"] == ["model"]
    assert (run[depth], run[least]) == (3, 0.1)


def test_text_forms_are_the_same_as_python_forms() -> None:
    transport = FakeTransport(runs(), runs())
    list(select(transport, where='state == "failed"', order="-created_at", select=['config["lr"]']))
    list(
        select(transport, where=wb.run.state == "failed", order=-wb.run.created_at, select=[wb.config["lr"]])
    )

    assert transport.sent[0] == transport.sent[1]


def test_pages_are_followed_and_a_run_that_comes_twice_is_given_once() -> None:
    transport = FakeTransport(runs(node("a"), node("b"), cursor="c1"), runs(node("b"), node("c")))

    assert select(transport, page_size=2).ids() == ["a", "b", "c"]
    assert [sent["after"] for _, sent in transport.sent] == [None, "c1"]


def test_first_asks_for_one_run() -> None:
    transport = FakeTransport(runs(node("a"), cursor="c1"))

    run = select(transport, limit=500).first()

    assert run is not None
    assert run.id == "a"
    assert transport.sent[0][1]["first"] == 1


def test_count_is_one_small_request() -> None:
    where = {"entity": "acme", "project": "vision"}
    transport = FakeTransport(
        {"project": {"runCount": 12345, "others": 55, "all": 12400}}, {"project": {"runCount": 12400}}
    )

    assert select(transport, where=wb.run.state == "crashed").count() == 12345
    assert select(transport).count() == 12400
    others = '{"$or":[{"state":null},{"state":{"$ne":"crashed"}}]}'
    assert transport.sent == [
        ("CompareCounts", {**where, "filters": '{"state":"crashed"}', "others": others}),
        ("CountRuns", {**where, "filters": "{}"}),
    ]


def test_a_missing_project_is_an_error_that_says_what_to_check() -> None:
    for ask in (list, RunSelection.count, RunSelection.first):
        with pytest.raises(NotFound, match=r"no project 'acme/vision'.*whoami"):
            ask(select(FakeTransport({"project": None})))


def test_a_server_that_fails_on_the_filter_alone_makes_it_a_filter_error() -> None:
    boom, loss = error_reply("boom", status=500), wb.summary["loss"] > 1
    count = {"project": {"name": "vision", "entity": {"name": "acme"}, "runCount": 3}}
    for ask, plain in ((list, runs(node("a"))), (RunSelection.count, count)):
        transport = FakeTransport(boom, boom, boom, plain)

        with pytest.raises(FilterError, match=r"fails on this filter \(HTTP 500, 3 times\)"):
            ask(select(transport, where=loss))

        sent = [variables["filters"] for _, variables in transport.sent]
        assert sent == ['{"summary_metrics.loss":{"$gt":1}}'] * 3 + ["{}"]


def test_a_500_that_passes_is_not_blamed_on_the_filter() -> None:
    boom = error_reply("driver: bad connection", status=500)
    for failures in (1, 2):
        transport = FakeTransport(*[boom] * failures, runs(node("a", summaryMetrics='{"loss": 2}')))

        assert [run.id for run in select(transport, where=wb.summary["loss"] > 1)] == ["a"]
        assert len(transport.sent) == failures + 1


def test_a_single_500_of_a_session_without_patience_is_not_blamed_on_the_filter() -> None:
    transport = FakeTransport(error_reply("boom", status=500))
    impatient = Session(transport, policy=RetryPolicy(attempts=1))

    with pytest.raises(ServerUnavailable):
        list(RunSelection(impatient, PATH, now=NOW, where=wb.summary["loss"] > 1))
    assert len(transport.sent) == 1


def test_a_page_on_which_the_server_runs_out_of_time_is_halved_before_the_filter_is_blamed() -> None:
    late = error_reply("context deadline exceeded", status=500)
    transport = FakeTransport(late, late, runs(node("a", summaryMetrics='{"loss": 2}')))

    assert [run.id for run in select(transport, where=wb.summary["loss"] > 1, page_size=400)] == ["a"]
    assert [variables["first"] for _, variables in transport.sent] == [400, 200, 100]


def test_a_server_that_fails_without_the_filter_too_is_not_the_filters_fault() -> None:
    transport = FakeTransport(*[error_reply("boom", status=500)] * 4)

    with pytest.raises(ServerUnavailable) as caught:
        list(select(transport, where=wb.summary["loss"] > 1))

    assert caught.value.status == 500
    assert len(transport.sent) == 4


def test_a_failure_on_a_later_page_is_not_blamed_on_the_filter() -> None:
    transport = FakeTransport(
        runs(node("a", summaryMetrics='{"loss": 2}'), cursor="c1"), *[error_reply("boom", status=500)] * 3
    )

    with pytest.raises(ServerUnavailable):
        list(select(transport, where=wb.summary["loss"] > 1))

    assert len(transport.sent) == 4


def test_no_result_and_an_unknown_key_offers_the_nearest_names() -> None:
    fields = {
        "project": {
            "fields": page(
                [
                    {"path": "summary_metrics.val/acc", "type": "number"},
                    {"path": "config.lr.value", "type": "number"},
                ]
            )
        }
    }
    transport = FakeTransport({"project": {"runCount": 0, "others": 3, "all": 3}}, fields)

    with pytest.warns(FilterWarning, match=r'summary\["val/ac"\]; did you mean summary\["val/acc"\]'):
        assert select(transport, where=wb.summary["val/ac"] > 0.5).count() == 0


def test_no_result_with_known_keys_is_just_no_result() -> None:
    fields = {"project": {"fields": page([{"path": "config.lr.value", "type": "number"}])}}
    transport = FakeTransport(runs(), fields)

    assert select(transport, where=wb.config["lr"] > 5).ids() == []


def test_a_server_that_cannot_list_fields_leaves_the_check_out() -> None:
    transport = FakeTransport(
        runs(), error_reply('Cannot query field "fields" on type "Project".', status=400), {"project": {}}
    )

    assert select(transport, where=wb.config["lr"] > 5).ids() == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"where": True},
        {"where": {"state": "finished"}},
        {"order": 3},
        {"select": [3]},
        {"limit": -1},
        {"page_size": 0},
        {"page_size": 5000},
        {"where": wb.run.state == "failed", "filters": {"state": "failed"}},
        {"filters": {"id": "abc"}},
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(arguments: dict[str, Any]) -> None:
    transport = FakeTransport()

    with pytest.raises(UsageError):
        select(transport, **arguments)
    assert transport.sent == []


def test_a_filter_dict_is_sent_as_it_is() -> None:
    fields = {"project": {"fields": page([{"path": "config.lr.value", "type": "number"}])}}
    transport = FakeTransport(runs(), fields)

    list(select(transport, filters={"$and": [{"state": "finished"}, {"config.lr.value": 0.1}]}))

    assert json.loads(transport.sent[0][1]["filters"]) == {
        "$and": [{"state": "finished"}, {"config.lr.value": 0.1}]
    }


def test_run_name_raises_and_says_which_to_use() -> None:
    (run,) = select(FakeTransport(runs(node("a"))))

    with pytest.raises(UsageError, match=r"run\.id .* run\.display_name"):
        run.name  # noqa: B018
    assert (run.id, run.display_name, run.storage_id) == ("a", "run a", "S-a")
    assert not hasattr(run, "name")


def test_a_run_reads_what_the_wire_has() -> None:
    (run,) = select(
        select="*",
        transport=FakeTransport(
            runs(
                node(
                    "a",
                    tags=["x"],
                    heartbeatAt="2026-01-02T03:04:05Z",
                    config='{"lr":{"value":0.1,"desc":null},"_wandb":{"value":{}},"a.b":{"value":1}}',
                    summaryMetrics='{"loss":NaN,"deep":{"er":2}}',
                )
            )
        ),
    )

    assert run.created_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert run.heartbeat_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert run.tags == ("x",)
    assert run.config == {"lr": 0.1, "a.b": 1}
    assert run[wb.config["a.b"]] == 1
    assert run[wb.summary["deep"]["er"]] == 2
    assert run[wb.summary["deep"]["missing"]] is None
    assert run[wb.summary["loss"]["deeper"]] is None
    assert run[wb.run.state] == "finished"
    assert str(run.summary["loss"]) == "nan"
    assert repr(run) == "Run('acme/vision/a', state='finished')"


def test_get_run_tells_a_missing_run_from_a_missing_project() -> None:
    path = RunPath("acme", "vision", "a")

    with pytest.raises(NotFound, match="no run 'acme/vision/a'"):
        get_run(Session(FakeTransport({"project": {"run": None}})), path)
    with pytest.raises(NotFound, match="no project 'acme/vision'"):
        get_run(Session(FakeTransport({"project": None})), path)
    run = get_run(
        Session(FakeTransport({"project": {"run": node("a", notes="n", config="{}", summaryMetrics="{}")}})),
        path,
    )
    assert isinstance(run, Run)
    assert run.notes == "n"


def test_list_run_ids_gives_storage_ids_by_id() -> None:
    transport = FakeTransport(
        {"project": {"runs": page([{"id": "S1", "name": "a"}], cursor="c")}},
        {"project": {"runs": page([{"id": "S2", "name": "b"}])}},
    )

    assert list_run_ids(Session(transport), PATH) == {"a": "S1", "b": "S2"}


def test_an_order_by_a_key_that_no_run_has_is_told_with_the_nearest_names() -> None:
    fields = {"project": {"fields": page([{"path": "summary_metrics.val/acc", "type": "number"}])}}
    transport = FakeTransport(runs(node("a", summaryMetrics="{}")), fields)

    with pytest.warns(UnknownKeyWarning, match=r'summary\["val/ac"\]; did you mean summary\["val/acc"\]'):
        assert select(transport, order=-wb.summary["val/ac"], limit=1).ids() == ["a"]


def test_an_order_by_a_key_that_runs_have_is_not_questioned() -> None:
    transport = FakeTransport(runs(node("a", summaryMetrics='{"acc":1}')))

    (run,) = select(transport, order=-wb.summary["acc"], limit=1)

    assert len(transport.sent) == 1
    with pytest.raises(NotFetched, match=r'summary was not fetched.*select=\[wb\.summary\["key"\]\]'):
        _ = run.summary


IGNORES_THE_FILTER = (
    node("good", summaryMetrics='{"acc":0.95}'),
    node("bad", summaryMetrics='{"acc":0.5}'),
    node("none", summaryMetrics="{}"),
)


@pytest.mark.parametrize(
    "asked",
    [
        {"where": wb.summary["acc"] > 0.9},
        {"filters": {"summary_metrics.acc": {"$gt": 0.9}, "state": "finished"}},
    ],
    ids=["expression", "raw filter"],
)
def test_runs_that_a_server_gives_against_the_filter_are_left_out_when_verified(
    asked: dict[str, Any],
) -> None:
    transport = FakeTransport(runs(*IGNORES_THE_FILTER))

    with pytest.warns(
        FilterWarning, match="2 runs that the server gave do not match here .*: acme/vision/bad"
    ):
        found = [run.id for run in select(transport, **asked).verified()]

    assert found == ["good"]


def test_an_attribute_that_is_null_is_missing_as_the_servers_database_has_it() -> None:
    transport = FakeTransport(runs(node("none"), node("some", group="g")))

    with pytest.warns(
        FilterWarning, match="1 runs that the server gave do not match here .*: acme/vision/some"
    ):
        found = [run.id for run in select(transport, filters={"group": {"$exists": False}}).verified()]

    assert found == ["none"]


def test_verifying_brings_what_the_filter_looks_at_and_shows_what_was_selected() -> None:
    transport = FakeTransport(runs(node("good", summaryMetrics='{"acc":0.95}')))

    (run,) = select(transport, where=wb.summary["acc"] > 0.9).verified()

    assert transport.sent[0][1]["summaryKeys"] == ["acc"]
    with pytest.raises(NotFetched):
        _ = run.summary


def test_a_raw_filter_that_cannot_be_evaluated_here_is_not_verified() -> None:
    transport = FakeTransport(runs(node("a")))

    with pytest.raises(FilterError):
        list(select(transport, filters={"keys_info.keys.acc": {"$exists": True}}).verified())
