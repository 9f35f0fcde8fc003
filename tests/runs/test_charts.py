"""Chart pages: what is drawn, what is said, and that nothing is fetched or let in."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wbgql as wb
from tests.caller import Caller, new_project
from wbgql.charts import MAX_LINES, Line, make_page, summarize, thin, write_chart
from wbgql.errors import StoreError, UsageError
from wbgql.history import HistoryCoverage
from wbgql.paths import RunPath
from wbgql.server import RunningServer


@pytest.fixture
def client(local_server: RunningServer) -> Iterator[wb.Client]:
    with wb.Client(base_url=local_server.base_url, api_key=local_server.api_key, entity="admin") as client:
        yield client


def path(number: int, run: str = "r") -> RunPath:
    return RunPath("acme", "vision", f"{run}{number}")


def traces(page: str) -> list[dict[str, Any]]:
    """The traces that the page's script draws."""
    start = page.rindex("Plotly.newPlot(")
    found = page[page.index("[", start) :]
    decoded, _ = json.JSONDecoder().raw_decode(found)
    assert isinstance(decoded, list)
    return decoded


def test_a_page_has_a_line_for_each_run_and_key_with_title_and_axes(
    client: wb.Client, caller: Caller, tmp_path: Path
) -> None:
    project = new_project()
    for number in range(3):
        caller.upsert(project, name=f"r{number}")
        caller.log(project, f"r{number}", *({"_step": s, "loss": s * number, "acc": 1} for s in range(4)))
    runs = [f"{project}/r{number}" for number in range(3)]

    count = write_chart(client.history([*runs, f"{project}/gone"], keys=["loss", "acc"]), tmp_path / "c.html")

    page = (tmp_path / "c.html").read_text()
    assert count == 3
    assert f"<title>loss, acc: 3 runs of admin/{project}</title>" in page
    assert f"admin/{project}/gone" in page
    drawn = traces(page)
    assert [(trace["name"], trace["yaxis"]) for trace in drawn] == [
        (f"r{number}", axis) for axis in ("y", "y2") for number in range(3)
    ]
    assert drawn[2]["y"] == [0, 2, 4, 6]
    assert '"text":"step"' in page
    assert '"text":"loss"' in page


def test_many_runs_are_drawn_as_one_bundle_with_median_and_range() -> None:
    lines = [Line(path(n), [(s, float(n)) for s in range(10)]) for n in range(MAX_LINES + 1)]

    drawn = traces(make_page({"loss": lines}))

    assert [trace["name"] for trace in drawn if trace["showlegend"]] == [
        f"each of {MAX_LINES + 1} runs",
        "10 % to 90 %",
        "median",
    ]
    assert set(drawn[-1]["y"]) == {MAX_LINES / 2}


def test_every_run_stands_in_the_legend_once_whatever_it_logged() -> None:
    one, two = Line(path(1), [(0, 1.0)]), Line(path(2), [(0, 2.0)])

    drawn = traces(make_page({"loss": [one], "acc": [one, two]}))

    assert [(trace["name"], trace["showlegend"]) for trace in drawn] == [
        ("r1", True),
        ("r1", False),
        ("r2", True),
    ]


def test_nothing_in_a_page_is_fetched_or_sent() -> None:
    page = make_page({"loss": [Line(path(1), [(0, 1.0)])]})
    own = page[: page.index("/**")] + page[page.rindex("<script") :]

    assert re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=", own) == []
    assert "default-src 'none'" in page
    assert '"showSendToCloud": false' in page or '"showSendToCloud":false' in page


def test_names_from_the_server_cannot_become_markup() -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    lines = [Line(RunPath("acme", "vision", evil), [(0, 1.0)])]

    page = make_page(
        {evil: lines}, missing=[HistoryCoverage(RunPath("a", "b", evil), complete=False, note=evil)]
    )

    assert "<img src=x" not in page
    assert page.count("</script>") == make_page({"loss": [Line(path(1), [(0, 1.0)])]}).count("</script>")


def test_a_key_that_nobody_logged_is_said() -> None:
    page = make_page({"loss": [Line(path(1), [(0, 1.0)])], "val/loss": []})

    assert "no run logged &#x27;val/loss&#x27;" in page


def test_gaps_are_left_where_a_value_is_not_finite(client: wb.Client, caller: Caller, tmp_path: Path) -> None:
    project = new_project()
    caller.upsert(project, name="r1")
    rows = [
        {"_step": 0, "v": 1},
        {"_step": 1, "v": math.nan},
        {"_step": 2, "v": math.inf},
        {"_step": 3, "v": 2},
    ]
    caller.log(project, "r1", *rows)

    write_chart(client.history(f"{project}/r1", keys=["v"]), tmp_path / "c.html")

    (line,) = traces((tmp_path / "c.html").read_text())
    assert line["y"] == [1, None, None, 2]


def test_time_may_be_the_axis(client: wb.Client, caller: Caller, tmp_path: Path) -> None:
    project = new_project()
    caller.upsert(project, name="r1")
    caller.log(
        project,
        "r1",
        {"_step": 0, "_timestamp": 1.7e9, "v": 1},
        {"_step": 1, "_timestamp": 1.7e9 + 60, "v": 2},
    )
    samples = client.history(f"{project}/r1", keys=["v"], samples=10)

    write_chart(client.history(f"{project}/r1", keys=["v"]), tmp_path / "c.html", x="_timestamp")

    page = (tmp_path / "c.html").read_text()
    assert '"type":"date"' in page
    assert traces(page)[0]["x"] == [1_700_000_000_000, 1_700_000_060_000]
    with pytest.raises(UsageError, match="_timestamp"):
        write_chart(samples, tmp_path / "d.html", x="_timestamp")


@pytest.mark.parametrize("keys", [None, ["_step"], [f"k{n}" for n in range(13)]])
def test_a_chart_needs_some_keys_and_not_too_many(
    client: wb.Client, tmp_path: Path, keys: list[str] | None
) -> None:
    with pytest.raises(UsageError, match="1 to 12 keys"):
        write_chart(client.history("p/r1", keys=keys), tmp_path / "c.html")


def test_a_page_without_runs_says_so(client: wb.Client, tmp_path: Path) -> None:
    assert write_chart(client.history([], keys=["loss"]), tmp_path / "c.html") == 0

    assert "<title>loss: no runs</title>" in (tmp_path / "c.html").read_text()


def test_a_file_that_cannot_be_written_is_an_error(client: wb.Client, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        write_chart(client.history([], keys=["loss"]), tmp_path / "no" / "such" / "c.html")


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=500), st.integers(2, 60))
def test_a_thinned_line_keeps_its_extremes_and_its_order(values: list[float], limit: int) -> None:
    points = [(float(number), value) for number, value in enumerate(values)]

    kept = thin(points, limit)

    assert len(kept) <= max(limit, 2) + 1
    assert kept == sorted(kept)
    assert {min(values), max(values)} <= {value for _, value in kept}


def test_the_range_counts_each_line_once_in_each_part() -> None:
    busy = Line(path(1), [(n / 100, 0.0) for n in range(100)])
    calm = Line(path(2), [(0.0, 10.0), (1.0, 10.0)])

    first = summarize([busy, calm], bins=1)[0]

    assert first[1:] == (1.0, 5.0, 9.0)
    assert summarize([Line(path(1), [(0.0, None)])]) == []


def test_a_line_that_grows_long_is_thinned_as_it_grows() -> None:
    line = Line(path(1))
    for start in range(0, 100_000, 1000):
        line.extend((float(n), float(n == 55_555)) for n in range(start, start + 1000))

    assert len(line.points) <= 20_000
    assert (55_555.0, 1.0) in line.points
