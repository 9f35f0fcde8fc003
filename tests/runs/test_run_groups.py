"""Groups of a selection: one read, projected; coverage and misspelt keys are the selection's own."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import wbgql as wb
from tests.fake_runs import RunsTransport, make_run
from wbgql.client import Client
from wbgql.errors import CoverageWarning, UnknownKeyWarning
from wbgql.runs import RunSelection
from wbgql.settings import Settings
from wbgql.wire.session import Session

ACC, OPT = wb.summary["acc"], wb.config["opt"]


def select(transport: RunsTransport, paths: Any = "acme/vision", **asked: Any) -> RunSelection:
    settings = Settings(api_key="k" * 40)
    return Client(settings=settings, session=Session(transport)).runs(paths, **asked)


def make(number: int, opt: Any, acc: Any) -> dict[str, Any]:
    return make_run(number, config={"opt": opt, "lr": 1}, summary={"acc": acc, "loss": 2})


MIXED = [make(0, "adam", 0.5), make(1, 3, 0.9), make(2, "adam", 0.7), make(3, 3.0, None)]


def test_best_reads_each_run_once_with_the_keys_it_needs() -> None:
    transport = RunsTransport(*MIXED)
    found = select(transport).best(by=OPT, metric=ACC)

    assert [(one.group, one.run and one.run.id, one.runs, one.measured) for one in found] == [
        (("adam",), "r2", 2, 2),
        ((3,), "r1", 2, 1),
    ]
    assert transport.names_sent() == ["ListRuns"]
    (_, sent) = transport.sent[0]
    assert (sent["configKeys"], sent["summaryKeys"]) == (["opt"], ["acc"])


def test_the_run_of_a_group_brings_what_was_selected_too() -> None:
    (best, _) = select(RunsTransport(*MIXED), select=[wb.summary["loss"]]).best(
        by='config["opt"]', metric='summary["acc"]'
    )

    assert best.run is not None
    assert (best.run[wb.summary["loss"]], best.run[ACC]) == (2, 0.7)


def test_groups_fall_under_the_filter_of_the_selection() -> None:
    (best,) = select(RunsTransport(*MIXED), where=ACC < 0.6).best(by="project", metric=ACC)

    assert (best.group, best.value, best.runs) == (("acme/vision",), 0.5, 1)


def test_latest_is_by_creation() -> None:
    found = select(RunsTransport(*MIXED)).latest(by=OPT)

    assert [one.run and one.run.id for one in found] == ["r2", "r3"]


def test_coverage_is_that_of_the_groups() -> None:
    selection = select(RunsTransport(*MIXED), ["acme/vision", "acme/nope"])
    with pytest.warns(CoverageWarning):
        selection.best(by=OPT, metric=ACC)

    assert [project.runs for project in selection.coverage.projects] == [4]
    assert [missing.path for missing in selection.coverage.unread] == ["acme/nope"]


def test_a_key_that_no_run_has_is_warned_of_with_near_names() -> None:
    transport = RunsTransport(*MIXED, fields={"summary_metrics.acc": "number", "config.opt.value": "string"})
    with pytest.warns(UnknownKeyWarning, match=r'summary\["accc"\]; did you mean summary\["acc"\]'):
        select(transport).best(by=OPT, metric=wb.summary["accc"])


def test_no_runs_are_no_groups_and_no_proof_of_a_misspelt_key() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert select(RunsTransport()).best(by=OPT, metric=ACC) == []


def test_stats_group_a_mixed_key_by_both_its_columns_and_sum_its_numbers() -> None:
    pytest.importorskip("pyarrow")
    transport = RunsTransport(*MIXED)
    by_key = select(transport).stats(by=OPT, of=ACC).to_pylist()
    over_key = select(transport).stats(by="project", of=[OPT]).to_pylist()

    assert [
        (row["config.opt"], row["config.opt:string"], row["runs"], row["summary.acc.count"]) for row in by_key
    ] == [
        (None, "adam", 2, 2),
        (3.0, None, 2, 1),
    ]
    assert (over_key[0]["runs"], over_key[0]["config.opt.count"], over_key[0]["config.opt.mean"]) == (
        4,
        2,
        3.0,
    )


def test_stats_of_nothing_count_runs_and_of_no_runs_have_the_same_columns() -> None:
    pytest.importorskip("pyarrow")
    some = select(RunsTransport(*MIXED)).stats(by=wb.run.id)
    none = select(RunsTransport()).stats(by=wb.run.id)

    assert some.column("runs").to_pylist() == [1, 1, 1, 1]
    assert some.schema == none.schema
