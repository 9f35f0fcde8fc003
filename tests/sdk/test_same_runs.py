"""A filters dict that an existing script uses gives the same runs as the SDK, in far fewer requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import wbgql as wb
from tests.bulk import load_runs
from tests.sdk.sdk_process import run_sdk
from wbgql.server import RunningServer, start
from wbgql.server.http.access_log import read_access_log

pytestmark = pytest.mark.sdk

READ = """
import json, sys, wandb
api = wandb.Api(timeout=120)
result = [run.id for run in api.runs("admin/many", filters=json.loads(sys.argv[1]), order=sys.argv[2])]
"""
PASTED = (
    {"config.lr": 0.1},
    {"$and": [{"state": "finished"}, {"summary_metrics.acc": {"$gt": 0.5}}, {"tags": "baseline"}]},
    {"$or": [{"displayName": {"$regex": "^name-1.*7$"}}, {"config.model.layers": {"$in": [3, 4]}}]},
)


@pytest.fixture(scope="module", params=[1200, pytest.param(20_000, marks=pytest.mark.full)])
def many(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("many")
    with start(folder, access_log=folder / "access.jsonl") as server:
        load_runs(server.data, "many", request.param)
        yield server


def requests_of(server: RunningServer) -> int:
    return sum(entry.path == "/graphql" for entry in read_access_log(server.data / "access.jsonl"))


@pytest.mark.parametrize(("filters", "order"), [({}, "+created_at"), ({}, "-summary_metrics.acc")])
def test_every_run_comes_in_the_same_order_for_a_tenth_of_the_requests(
    many: RunningServer, tmp_path: Path, filters: dict[str, object], order: str
) -> None:
    before = requests_of(many)
    theirs = run_sdk(many, tmp_path, READ, json.dumps(filters), order)
    between = requests_of(many)
    with wb.Client(base_url=many.base_url, api_key=many.api_key) as client:
        ours = client.runs(
            "admin/many", filters=filters, order=order.replace("_metrics.acc", '["acc"]')
        ).ids()
        assert client.stats.requests <= (between - before) / 10

    assert ours == theirs
    assert len(ours) in (1200, 20_000)


@pytest.mark.parametrize("filters", PASTED, ids=lambda filters: next(iter(filters)))
@pytest.mark.filterwarnings("ignore:.*regular expression:wbgql.errors.FilterWarning")
def test_a_pasted_filter_gives_the_same_runs(
    many: RunningServer, tmp_path: Path, filters: dict[str, object]
) -> None:
    theirs = run_sdk(many, tmp_path, READ, json.dumps(filters), "+created_at")
    with wb.Client(base_url=many.base_url, api_key=many.api_key) as client:
        ours = client.runs("admin/many", filters=filters).ids()

    assert ours == theirs
    assert 0 < len(ours) < 20_000
