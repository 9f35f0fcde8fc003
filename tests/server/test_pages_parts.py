"""What pages are made of: numbers, charts, stretches of history, console colours, links and cookies' names."""

from __future__ import annotations

import itertools
import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wbgql.errors import FilterError, UsageError
from wbgql.server.pages import charts, formatting, values
from wbgql.server.pages.filtering import Column, to_column, to_filters, to_order
from wbgql.server.pages.links import Links
from wbgql.server.pages.routes import local_path
from wbgql.server.pages.run_views import Piece, to_pieces
from wbgql.server.pages.series import Line, stretches

NOW = datetime(2026, 1, 2, tzinfo=UTC)
floats = st.floats(-1e300, 1e300, allow_nan=False) | st.just(math.nan)
points = st.lists(st.tuples(st.floats(-1e9, 1e9), floats), unique_by=lambda point: point[0]).map(sorted)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (12345, "12,345"),
        (0.5, "0.5"),
        (1234.5678, "1,234.57"),
        (0.000123456, "0.000123456"),
        (1.23456e-9, "1.235e-09"),
        (-2.5e12, "-2.5e+12"),
        (10**20, "1e+20"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (10**400, "1" + "0" * 400),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert formatting.number(value) == text


def test_times_and_sizes_are_in_units_people_use() -> None:
    assert formatting.duration(7500) == "2 h 5 min"
    assert formatting.duration(0.2) == "0 s"
    assert formatting.size(17) == "17 B"
    assert formatting.size(3.4 * 2**20) == "3.4 MiB"
    assert formatting.ago("2026-01-01T21:00:00Z", NOW) == "3 h ago"
    assert formatting.ago("2026-01-08T23:00:00Z", NOW) == "in 6 d 23 h"
    assert formatting.after("2026-01-01T00:00:00Z", 86400) == "2026-01-02T00:00:00+00:00"


def test_names_sort_as_people_count_and_the_sdks_own_come_last() -> None:
    names = ["_step", "layer10", "layer2", "acc", "layer2/b"]

    assert sorted(names, key=formatting.natural) == ["acc", "layer2", "layer2/b", "layer10", "_step"]


@given(st.integers(0, 10**7), st.integers(1, 10**5))
def test_stretches_hold_both_ends_and_no_more_rows_than_allowed(length: int, allowed: int) -> None:
    found = stretches(length, allowed)

    assert sum(end - start for start, end in found) <= allowed or found == [(0, length)]
    assert found[-1][1] == length or len(found) == 1
    assert found[0][0] == 0
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(found))


@given(points, st.booleans())
@example([(0.0, 5e-324)], True)
@example([(0.0, 5e-324), (1.0, 1e-323)], True)
@example([(0.0, 1.5e308), (1.0, 1.6e308)], True)
@example([(0.0, 1.785e308), (1.0, 1.797e308)], True)
@example([(0.0, 5e-324), (1.0, 1.79e308)], True)
@example([(5e-324, -1.79e308), (1.79e308, 1.79e308)], False)
def test_whatever_is_logged_is_drawn_inside_the_frame(
    given_points: list[tuple[float, float]], log: bool
) -> None:
    chart = charts.draw("loss", [Line("loss", given_points)], x="_step", log=log)

    drawable = [y for _, y in given_points if not math.isnan(y) and (not log or y > 0)]
    if not drawable:
        assert chart is None
        return
    assert chart is not None
    (line,) = chart.lines
    places = [
        *line.dots,
        *(tuple(map(float, pair.split())) for pair in line.path.replace("M", "L").split("L")[1:]),
    ]
    assert places
    assert all(charts.LEFT - 1 <= x <= charts.WIDTH - charts.RIGHT + 1 for x, _ in places)
    assert all(charts.TOP - 1 <= y <= charts.HEIGHT - charts.BOTTOM + 1 for _, y in places)
    assert len(json.loads(line.data)) <= charts.MAX_POINTS + 2


@given(points)
def test_thinning_keeps_ends_and_extremes(given_points: list[tuple[float, float]]) -> None:
    thinned = charts.thin(given_points, 10)

    assert len(thinned) <= 12
    finite = [y for _, y in given_points if not math.isnan(y)]
    kept = [y for _, y in thinned if not math.isnan(y)]
    assert not finite or (min(kept), max(kept)) == (min(finite), max(finite))
    assert thinned[:1] == given_points[:1] or math.isnan(given_points[0][1])


def test_a_gap_parts_a_line_and_a_lone_point_is_a_dot() -> None:
    chart = charts.draw("m", [Line("m", [(0, 1.0), (1, 2.0), (2, math.nan), (3, 1.5)])], x="_step")

    assert chart is not None
    assert chart.lines[0].path.count("M") == 1
    assert len(chart.lines[0].dots) == 1
    assert chart.last == "1.5"


def test_a_logarithmic_axis_has_powers_of_ten() -> None:
    chart = charts.draw("m", [Line("m", [(0, 1e-3), (1, 1.0), (2, 0.0)])], x="_step", log=True)

    assert chart is not None
    assert [tick.text for tick in chart.y_ticks] == ["0.001", "0.01", "0.1", "1"]


def test_console_colours_become_styles_and_other_codes_go() -> None:
    line = "\x1b[1;31mbad\x1b[0m \x1b[2Kok \x1b[92mgood\x1b]0;title\x07\x1b[38;5;4mplain\x08"

    assert to_pieces(line) == [
        Piece("bad", "bold color-1"),
        Piece(" "),
        Piece("ok "),
        Piece("good", "color-10"),
        Piece("plain", "color-10"),
    ]


@given(st.text())
def test_console_text_is_kept(text: str) -> None:
    shown = "".join(piece.text for piece in to_pieces(text))

    if "\x1b" not in text:
        dropped = {*map(chr, range(0x20)), "\x7f"} - {"\t", "\n"}
        assert shown == "".join(char for char in text if char not in dropped)


def test_the_filter_box_takes_expressions() -> None:
    filters = to_filters('state == "finished" and created_at > ago("1d")', NOW)

    assert json.loads(filters or "") == {"state": "finished", "createdAt": {"$gt": "2026-01-01T00:00:00Z"}}
    assert to_filters("  ", NOW) is None
    assert to_order('-summary["val/acc"]') == "-summary_metrics.val/acc"
    with pytest.raises(FilterError, match="write summary"):
        to_filters("summary.x > 1", NOW)


def test_a_column_is_a_field() -> None:
    nested = to_column('config["model"]["depth"]')

    assert nested == Column("config", ("model", "depth"))
    assert (nested.label, nested.text, nested.sorts) == ("model.depth", 'config["model"]["depth"]', True)
    assert to_column(to_column('summary["a.b"]').text).sorts is False
    with pytest.raises(UsageError, match="no steps"):
        to_column('step["loss"]')


def test_values_are_flattened_and_media_are_told_by_what_they_are() -> None:
    found, hidden = values.to_entries(
        {
            "b": {"c": 1.5, "empty": {}},
            "_wandb": {"runtime": 1},
            "flag": True,
            "picture": {"_type": "image-file", "path": "media/a.png", "width": 3, "height": 2},
            "weights": {"_type": "histogram", "bins": [0, 1, 2], "values": [1, 3]},
            "broken": {"_type": "histogram", "values": ["x"]},
            "_timestamp": 1767312000.0,
        }
    )

    shown = {entry.key: (entry.kind, entry.text) for entry in found}
    assert list(shown)[-1] == "_timestamp"
    assert shown == {
        "b.c": ("number", "1.5"),
        "b.empty": ("text", "{}"),
        "flag": ("text", "true"),
        "picture": ("image", "image-file 3 x 2"),
        "weights": ("histogram", "histogram of 4 values"),
        "broken": ("text", '{"_type": "histogram", "values": ["x"]}'),
        "_timestamp": ("text", "2026-01-02 00:00:00 UTC"),
    }
    assert hidden == 0
    assert [entry.key for entry in values.to_entries({"Loss": 1, "acc": 2}, "loss")[0]] == ["Loss"]


def test_links_quote_every_part_and_stay_below_the_prefix() -> None:
    links = Links("/wandb", "v1")
    run = {"name": "a?b", "project": {"entityName": "my team", "name": "p&q"}}

    assert links.run(run, "file", query=[("name", "a/b c")]) == (
        "/wandb/my%20team/p%26q/runs/a%3Fb/file?name=a%2Fb+c"
    )
    assert links.to() == "/wandb/"
    assert links.login("/a?b=c") == "/wandb/~/login?next=%2Fa%3Fb%3Dc"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "relative",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/~/logout",
        "/a\nb",
        "/a\tb",
    ],
)
def test_signing_in_never_leads_to_another_site(text: str) -> None:
    assert local_path(text) == ""


def test_signing_in_leads_back() -> None:
    assert local_path("/acme/vision?where=state+%3D%3D+1") == "/acme/vision?where=state+%3D%3D+1"
