"""Every warning of the package points at the line of the program that caused it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from heapq import nsmallest
from pathlib import Path
from typing import Any

import pytest

import wbgql
import wbgql as wb
from tests.fake_runs import RunsTransport, make_run
from wbgql.cautions import warn
from wbgql.paths import ProjectPath
from wbgql.runs import RunSelection
from wbgql.wire.session import Session

LOSS = wb.summary["loss"]
USES: dict[str, Callable[[RunSelection], object]] = {
    "iterating": list,
    "ids": lambda selection: selection.ids(),
    "first": lambda selection: selection.first(),
    "count": lambda selection: selection.count(),
    "verified": lambda selection: list(selection.verified()),
    "arrow": lambda selection: selection.to_arrow(),
    "polars": lambda selection: selection.to_polars(),
    "batches": lambda selection: list(selection.iter_batches()),
    "best": lambda selection: selection.best(by="project", metric=LOSS),
    "latest": lambda selection: selection.latest(by=wb.run.group),
    "stats": lambda selection: selection.stats(by=wb.run.group, of=LOSS),
    "within a sort": lambda selection: nsmallest(1, selection, key=lambda run: run.id),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_warning_points_at_the_line_that_asked(use: Callable[[RunSelection], object]) -> None:
    transport = RunsTransport(make_run(1, summary={"loss": 1.0}), fields={"summary_metrics.loss": "number"})
    selection = RunSelection(Session(transport), ProjectPath("acme", "vision"), where=wb.summary["los"] > 0)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        use(selection)

    assert caught
    assert {warning.filename for warning in caught} == {__file__}


def test_a_filter_that_is_not_portable_is_told_of_at_the_call() -> None:
    client = wb.Client(settings=wbgql.settings.Settings(api_key="0" * 40, base_url="http://127.0.0.1:9"))

    with pytest.warns(wb.errors.FilterWarning) as caught:
        client.runs("acme/vision", filters={"state": {"$ne": "failed"}})

    assert caught[0].filename == __file__


def test_an_installed_package_counts_as_the_caller(tmp_path: Path) -> None:
    installed = tmp_path / "lib" / "python3" / "site-packages" / "tool.py"
    scope: dict[str, Any] = {"warn": warn}
    exec(compile("def call():\n    warn('said')\n", str(installed), "exec"), scope)

    with pytest.warns(UserWarning, match="said") as caught:
        scope["call"]()

    assert (caught[0].filename, caught[0].lineno) == (str(installed), 2)


def test_no_other_module_counts_frames() -> None:
    package = Path(wbgql.__file__).parent
    counting = [file.name for file in package.rglob("*.py") if "stacklevel" in file.read_text("utf-8")]

    assert counting == ["cautions.py"]
