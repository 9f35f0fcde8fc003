"""Many runs in one job: all of them, each once, within bounded memory."""

from __future__ import annotations

import resource
import sys

import pytest

from tests.erasure.fake_server import large_case
from wbgql.erasure.applying import Ask, Options, apply
from wbgql.erasure.records.journal import find_break
from wbgql.limiting import Limits

FAST = Options(limits=Limits(rate=1e6), workers=2)


@pytest.mark.parametrize("runs", [300, pytest.param(10_000, marks=pytest.mark.full)])
def test_d4_25_a_job_of_many_runs_does_each_once_and_its_memory_does_not_grow(tmp_path, runs):
    with large_case(tmp_path, runs) as (case, client, server):
        before = _peak_mb()

        done = apply(case, client, Ask(digest=case.plan.digest), options=FAST)

        assert done.counts == {"run": {"hidden": runs}}
        assert server.deletions == runs == len(server.hidden)
        entries = case.ledger.entries(case.job)
        assert find_break(entries, case.ledger.head(case.job)) is None
        # The engine and what is imported for it take some 60 MB, however many runs there are.
        assert _peak_mb() - before < 150


def test_a_batch_that_ends_its_worker_each_time_is_left_open(tmp_path):
    with large_case(tmp_path, 3) as (case, client, server):
        case.ledger.create(case.plan, target="t", body={})
        for _ in range(4):
            case.ledger.claim(case.job, 1, 0, 100, "dead")
        case.ledger.claim(case.job, 1, 0, 3, "dead")

        done = apply(case, client, Ask(digest=case.plan.digest), options=FAST)

        assert done.counts == {"run": {"open": 3}}
        assert server.deletions == 0
        assert "quarantined" in [entry.kind for entry in case.ledger.entries(case.job)]

        # The operator's own command gives it another chance.
        assert apply(case, client, Ask(digest=case.plan.digest), options=FAST).state == "applied"


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 if sys.platform == "linux" else 1024**2)
