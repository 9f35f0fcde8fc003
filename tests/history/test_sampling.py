"""Rows that the server chooses."""

from __future__ import annotations

import math
import warnings

import pytest

import wbgql as wb
from tests.caller import Caller
from wbgql.errors import NotFound, SampledWarning, UsageError


def test_samples_of_several_keys_are_the_union_joined_by_step(
    client: wb.Client, caller: Caller, project: str
) -> None:
    caller.log(project, "r1", {"_step": 0, "a": 1}, {"_step": 1, "b": 2}, {"_step": 2, "a": 3, "b": 4})
    before = client.stats.requests

    found = client.sample_history(f"{project}/r1", ["a", "b"])

    assert found == [{"_step": 0, "a": 1}, {"_step": 1, "b": 2}, {"_step": 2, "a": 3, "b": 4}]
    assert client.stats.requests - before == 1


def test_together_asks_for_rows_that_hold_all_keys(client: wb.Client, caller: Caller, project: str) -> None:
    caller.log(project, "r1", {"_step": 0, "a": 1}, {"_step": 1, "b": 2}, {"_step": 2, "a": 3, "b": 4})

    assert client.sample_history(f"{project}/r1", ["a", "b"], together=True) == [{"_step": 2, "a": 3, "b": 4}]


def test_a_key_thinned_out_apart_from_another_is_named(
    client: wb.Client, caller: Caller, project: str
) -> None:
    rows = [{"_step": step, "loss": step} | ({"acc": step} if step % 10 == 0 else {}) for step in range(1000)]
    caller.log(project, "r1", *rows)
    selection = client.history([f"{project}/r1"], keys=["loss", "acc"], samples=200)

    with pytest.warns(
        SampledWarning, match="^'loss': each was sampled apart from the others, up to 200 rows"
    ) as told:
        found = client.sample_history(f"{project}/r1", ["loss", "acc"], samples=200)
    with pytest.warns(SampledWarning, match="^'loss': each was sampled apart") as told_of_many:
        table = selection.to_arrow()

    # The step has a loss, which was not sampled; that no row hides an accuracy is sure.
    assert any("loss" not in row for row in found)
    assert table["loss"].null_count > 0
    assert sum("acc" in row for row in found) == 100
    assert [one.filename for one in (*told, *told_of_many)] == [__file__] * 2


@pytest.mark.parametrize("keys", [["loss"], ["loss", "other"]])
def test_keys_that_came_whole_or_at_the_same_steps_are_not_named(
    client: wb.Client, caller: Caller, project: str, keys: list[str]
) -> None:
    caller.log(project, "r1", *({"_step": step, "loss": step, "other": step} for step in range(1000)))
    caller.upsert(project, name="r2")
    caller.log(project, "r2", *({"_step": step, keys[step % len(keys)]: step} for step in range(100)))

    with warnings.catch_warnings():
        warnings.simplefilter("error", SampledWarning)
        client.sample_history(f"{project}/r1", keys, samples=200)
        list(client.history([f"{project}/r1", f"{project}/r2"], keys=keys, samples=200))


def test_at_most_so_many_samples_come_from_the_range(client: wb.Client, caller: Caller, project: str) -> None:
    caller.log(project, "r1", *({"_step": step, "a": step} for step in range(1000)))

    found = client.sample_history(f"{project}/r1", ["a"], samples=10, min_step=100, max_step=200)

    assert len(found) == 10
    assert all(100 <= row["_step"] < 200 for row in found)


def test_the_time_rides_along_with_every_key(client: wb.Client, caller: Caller, project: str) -> None:
    caller.log(
        project, "r1", {"_step": 0, "_timestamp": 5.5, "a": 1}, {"_step": 1, "_timestamp": 6.5, "b": 1}
    )

    found = client.sample_history(f"{project}/r1", ["a", "_timestamp"])

    assert found == [{"_step": 0, "_timestamp": 5.5, "a": 1}]


def test_what_is_not_finite_comes_as_a_float(client: wb.Client, caller: Caller, project: str) -> None:
    caller.log(
        project, "r1", {"_step": 0, "a": math.inf}, {"_step": 1, "a": math.nan}, {"_step": 2, "a": "x"}
    )

    first, second, third = client.sample_history(f"{project}/r1", ["a"])

    assert first["a"] == math.inf
    assert math.isnan(second["a"])
    assert third["a"] == "x"


def test_a_missing_run_is_not_found(client: wb.Client, project: str) -> None:
    with pytest.raises(NotFound):
        client.sample_history(f"{project}/nope", ["a"])


@pytest.mark.parametrize(("keys", "samples"), [([], 10), ("loss", 10), (["loss"], 0)])
def test_what_cannot_be_sampled_is_refused(client: wb.Client, keys: list[str], samples: int) -> None:
    with pytest.raises(UsageError):
        client.sample_history("p/r1", keys, samples=samples)
