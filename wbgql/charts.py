"""Histories as one page of line charts that needs nothing but a browser. Imports plotly when used."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from wbgql.errors import ConfigError, UsageError
from wbgql.extras import install_command
from wbgql.frames.writing import replacing
from wbgql.history import HistoryCoverage, HistorySelection
from wbgql.paths import RunPath

XAxis: TypeAlias = Literal["_step", "_timestamp"]

MAX_LINES = 20
"""More runs than this are drawn thin and grey below their median and 10 % to 90 % range."""
MAX_KEYS = 12

# Together these keep a page quick to draw; a thinned line keeps the extremes of each part.
_MAX_POINTS = 100_000
_MAX_KEPT = 10_000
_MIN_POINTS_A_LINE = 40
_BINS = 120
_MAX_LISTED = 50
_PANEL_PX = 300
_X_TITLES: Mapping[XAxis, str] = {"_step": "step", "_timestamp": "time (UTC)"}
# Apart in hue and in lightness. Source: "Dark2" and "Set1" of ColorBrewer 2.0, without their yellows.
_COLORS = (
    *("#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#66a61e", "#a6761d", "#666666"),
    *("#377eb8", "#e41a1c", "#984ea3"),
)
_DASHES = ("solid", "dot")
_GREY, _MEDIAN, _BAND, _EDGE = "rgba(90,90,90,0.25)", "#b2182b", "rgba(178,24,43,0.14)", "rgba(178,24,43,0.6)"
# Nothing is fetched, from anywhere: scripts and styles are in the page.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "form-action 'none'; base-uri 'none'"
)
# Source: plotly.js 4 (plotly 7.1, 2026-11) shows a button that sends the chart's data to its maker's cloud.
_CONFIG = {"displaylogo": False, "responsive": True, "showSendToCloud": False, "plotlyServerURL": ""}
_STYLE = "body{font:14px system-ui,sans-serif;margin:24px;color:#222}h1{font-size:20px}p,li{color:#555}"

Point: TypeAlias = tuple[float, float | None]


@dataclass(slots=True)
class Line:
    """What one run logged under one key: x, and y or None where it was no finite number."""

    run: RunPath
    points: list[Point] = field(default_factory=list)

    def extend(self, points: Iterable[Point]) -> None:
        """Take more points; a line that grows too long for any screen is thinned."""
        self.points.extend(points)
        if len(self.points) > 2 * _MAX_KEPT:
            self.points = thin(self.points, _MAX_KEPT)


Panels: TypeAlias = Mapping[str, Sequence[Line]]
"""The lines of each key."""


def write_chart(
    history: HistorySelection, file: Path | str, *, title: str | None = None, x: XAxis = "_step"
) -> int:
    """Write the curves of a selection to one HTML file; return the number of runs drawn.

    One panel for each key. Up to 20 runs have a line each and a place in the legend; of more, all are
    drawn thin and grey, below their median and the range from 10 % to 90 %. Runs of which nothing came
    are listed. Reads the selection once, at its cost; sampled histories (`samples=500`) do for curves.
    The page is about 5 MB, plotly's script included, and fetches nothing.

    Raises:
        UsageError: no keys, or more than 12.
        ConfigError: plotly is not installed.
        StoreError: the file cannot be written; nothing is left behind.
    """
    keys = [key for key in history.keys or () if not key.startswith("_")]
    if not 1 <= len(keys) <= MAX_KEYS:
        raise UsageError(f"a chart shows 1 to {MAX_KEYS} keys: name them, not {len(keys)}")
    if x == "_timestamp" and history.samples is not None and x not in (history.keys or ()):
        raise UsageError("samples bring no time unless asked: add '_timestamp' to the keys")
    _plotly()
    panels = read_panels(history, keys, x)
    page = make_page(panels, title=title, x=x, missing=history.missing)
    with replacing(Path(file)) as out:
        out.write(page.encode())
    return len(_runs(panels))


def read_panels(history: HistorySelection, keys: Sequence[str], x: XAxis) -> Panels:
    """Read a selection into the lines of each key; a run without a value of a key has no line there."""
    panels: dict[str, list[Line]] = {key: [] for key in keys}
    for run, rows in history.stamped_blocks():
        for key in keys:
            points = list(_points(rows, key, x))
            if not points:
                continue
            lines = panels[key]
            if not lines or lines[-1].run != run:
                lines.append(Line(run))
            lines[-1].extend(points)
    return panels


def make_page(
    panels: Panels, *, title: str | None = None, x: XAxis = "_step", missing: Sequence[HistoryCoverage] = ()
) -> str:
    """Return the page as HTML. Every name in it is escaped: run ids and keys come from anybody."""
    heading = title or _heading(panels)
    chart = _make_figure(panels, x).to_html(full_html=False, include_plotlyjs=True, config=_CONFIG)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{html.escape(heading)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{html.escape(heading)}</h1>\n{_notes(panels, missing)}\n{chart}\n</body></html>\n"
    )


def thin(points: Sequence[Point], limit: int) -> list[Point]:
    """Return at most about `limit` points that look the same: of each part the lowest and the highest."""
    if len(points) <= limit:
        return list(points)
    size = math.ceil(len(points) / max(1, limit // 2))
    kept: list[Point] = []
    for start in range(0, len(points), size):
        part = points[start : start + size]
        found = [point for point in part if point[1] is not None]
        if not found:
            kept.append(part[0])
            continue
        low = min(found, key=lambda point: point[1] or 0.0)
        high = max(found, key=lambda point: point[1] or 0.0)
        kept.extend(sorted({low, high}))
    return kept


def summarize(lines: Iterable[Line], bins: int = _BINS) -> list[tuple[float, float, float, float]]:
    """Return (x, 10 %, median, 90 %) over the lines that have a value near x, in order of x.

    A line counts once in each of `bins` equal parts of the x axis, with its mean there.
    """
    listed = [
        [(at, value) for at, value in line.points if value is not None and math.isfinite(at)]
        for line in lines
    ]
    places = [at for line in listed for at, _ in line]
    if not places:
        return []
    low, width = min(places), (max(places) - min(places)) / bins or 1.0
    found: dict[int, list[float]] = {}
    for line in listed:
        for number, mean in _means(line, low, width, bins):
            found.setdefault(number, []).append(mean)
    return [
        (low + (number + 0.5) * width, _quantile(values, 0.1), _quantile(values, 0.5), _quantile(values, 0.9))
        for number, values in sorted(found.items())
    ]


def _means(
    line: Sequence[tuple[float, float]], low: float, width: float, bins: int
) -> Iterator[tuple[int, float]]:
    parts: dict[int, list[float]] = {}
    for at, value in line:
        parts.setdefault(min(bins - 1, int((at - low) / width)), []).append(value)
    for number, values in parts.items():
        yield number, math.fsum(values) / len(values)


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    left = int(place)
    right = min(left + 1, len(ordered) - 1)
    return ordered[left] + (ordered[right] - ordered[left]) * (place - left)


def _points(rows: Iterable[Mapping[str, Any]], key: str, x: XAxis) -> Iterator[Point]:
    for row in rows:
        at, value = row.get(x), row.get(key)
        if isinstance(at, (int, float)) and isinstance(value, (int, float)):
            finite = abs(value) < math.inf  # false for NaN; a gap shows better than an axis without end
            yield float(at), float(value) if finite else None


def _make_figure(panels: Panels, x: XAxis) -> Any:
    graphs, make_subplots = _plotly()
    figure = make_subplots(
        rows=len(panels),
        shared_xaxes=True,
        vertical_spacing=min(0.08, 0.25 / len(panels)),
    )
    runs = _runs(panels)
    make = _bundle if len(runs) > MAX_LINES else _lines
    named: set[str] = set()
    for number, (key, lines) in enumerate(panels.items(), 1):
        for trace in make(graphs, lines, runs, x):
            # Each name stands in the legend once, and shows and hides its traces in every panel.
            if trace.showlegend is None:
                trace.showlegend = trace.legendgroup not in named
                named.add(trace.legendgroup)
            figure.add_trace(trace, row=number, col=1)
        figure.update_yaxes(title_text=html.escape(key), row=number, col=1)
    figure.update_xaxes(type="date" if x == "_timestamp" else "linear")
    figure.update_xaxes(title_text=_X_TITLES[x], row=len(panels), col=1)
    figure.update_layout(
        template="plotly_white",
        height=_PANEL_PX * len(panels) + 120,
        margin={"t": 90, "r": 20, "l": 70, "b": 60},
        hovermode="closest",
        legend={"itemsizing": "constant"},
        showlegend=True,
        updatemenus=[_scale_menu(len(panels))],
    )
    return figure


def _lines(graphs: Any, lines: Sequence[Line], runs: Sequence[RunPath], x: XAxis) -> Iterator[Any]:
    """One line for each run, in the same colour in every panel."""
    names = _names(runs)
    limit = _points_a_line(len(runs))
    for line in lines:
        place = runs.index(line.run)
        xs, ys = _columns(thin(line.points, limit), x)
        yield graphs.Scatter(
            x=xs,
            y=ys,
            mode="lines" if len(xs) > 1 else "markers",
            name=html.escape(names[line.run]),
            legendgroup=str(place),
            line={
                "color": _COLORS[place % len(_COLORS)],
                "dash": _DASHES[place // len(_COLORS)],
                "width": 1.8,
            },
        )


def _bundle(graphs: Any, lines: Sequence[Line], runs: Sequence[RunPath], x: XAxis) -> Iterator[Any]:
    """All runs as one thin grey trace, and over it the range and the median."""
    names = _names(runs)
    limit = _points_a_line(len(runs))
    points: list[Point] = []
    labels: list[str] = []
    for line in lines:
        thinned = [*thin(line.points, limit), (line.points[-1][0], None)]
        points.extend(thinned)
        labels.extend([html.escape(names[line.run])] * len(thinned))
    xs, ys = _columns(points, x)
    grey = {"color": _GREY, "width": 1 if len(runs) < 100 else 0.5}
    yield _trace(graphs, xs, ys, f"each of {len(runs)} runs", line=grey, text=labels)
    found = summarize(lines)
    places, _ = _columns([(row[0], None) for row in found], x)
    edge = {"line": {"color": _EDGE, "width": 1}, "hoverinfo": "skip"}
    yield _trace(graphs, places, [row[3] for row in found], "10 % to 90 %", showlegend=False, **edge)
    filled = {**edge, "fill": "tonexty", "fillcolor": _BAND}
    yield _trace(graphs, places, [row[1] for row in found], "10 % to 90 %", **filled)
    median = {"color": _MEDIAN, "width": 2.5}
    yield _trace(graphs, places, [row[2] for row in found], "median", line=median)


def _trace(graphs: Any, xs: Sequence[Any], ys: Sequence[Any], name: str, **style: Any) -> Any:
    return graphs.Scatter(x=xs, y=ys, mode="lines", name=name, legendgroup=name, **style)


def _columns(points: Sequence[Point], x: XAxis) -> tuple[list[float | int], list[float | None]]:
    # Plotly wants times in milliseconds. Six digits are more than a screen shows.
    scale = 1000 if x == "_timestamp" else 1
    ys = [None if value is None else float(f"{value:.6g}") for _, value in points]
    return [int(at * scale) for at, _ in points], ys


def _points_a_line(runs: int) -> int:
    return max(_MIN_POINTS_A_LINE, _MAX_POINTS // max(1, runs))


def _scale_menu(panels: int) -> dict[str, Any]:
    axes = ["yaxis", *(f"yaxis{number}" for number in range(2, panels + 1))]
    buttons = [
        {"label": f"y: {kind}", "method": "relayout", "args": [{f"{axis}.type": kind for axis in axes}]}
        for kind in ("linear", "log")
    ]
    return {
        "type": "buttons",
        "direction": "right",
        "buttons": buttons,
        "x": 0,
        "y": 1,
        "xanchor": "left",
        "yanchor": "bottom",
        "pad": {"b": 36},
    }


def _runs(panels: Panels) -> list[RunPath]:
    return list(dict.fromkeys(line.run for lines in panels.values() for line in lines))


def _names(runs: Sequence[RunPath]) -> dict[RunPath, str]:
    """Run ids, with the project where there are several."""
    alone = len({run.project_path for run in runs}) == 1
    return {run: run.run_id if alone else str(run) for run in runs}


def _heading(panels: Panels) -> str:
    runs = _runs(panels)
    if not runs:
        return f"{', '.join(panels)}: no runs"
    projects = list(dict.fromkeys(str(run.project_path) for run in runs))
    where = projects[0] if len(projects) == 1 else f"{len(projects)} projects"
    return f"{', '.join(panels)}: {len(runs)} {'run' if len(runs) == 1 else 'runs'} of {where}"


def _notes(panels: Panels, missing: Sequence[HistoryCoverage]) -> str:
    notes = [f"no run logged {key!r}" for key, lines in panels.items() if not lines]
    if len(_runs(panels)) > MAX_LINES:
        notes.append("Where runs end early, median and range are of those that go on.")
    found = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    if not missing:
        return found
    lines = [f"{entry.run}: {entry.note}" for entry in missing[:_MAX_LISTED]]
    if len(missing) > _MAX_LISTED:
        lines.append(f"and {len(missing) - _MAX_LISTED} more")
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"{found}<p>Not read, or not to the end:</p><ul>{items}</ul>"


def _plotly() -> tuple[Any, Any]:
    try:
        from plotly import graph_objects  # noqa: PLC0415  # an extra, and heavy
        from plotly.subplots import make_subplots  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(f"charts need plotly; run: {install_command('charts')}") from error
    return graph_objects, make_subplots
