"""Lines as what a template writes as SVG: paths, ticks and a legend. No I/O."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from wbgql.server.pages import formatting
from wbgql.server.pages.series import STEP, Line, Point

WIDTH, HEIGHT = 420, 210
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 10, 24
MAX_POINTS = 300
COLORS = 8
"""Line colours in the style sheet: `line-0` and on."""
_TIME = "_timestamp"
_Y_TICKS, _X_TICKS = 5, 4
_LOWEST_POWER = -300
_LOWEST = 10.0**_LOWEST_POWER
_HIGHEST = 8e307
"""Values beyond are drawn at the edge: the width of an axis must be a float too."""
_FLOAT_POWERS = (-323.3, 308.25)
"""Ten to these is still a float, and not 0."""


@dataclass(frozen=True)
class Tick:
    """A place on an axis, in the units of the drawing, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True)
class Drawn:
    """One line. `dots`: points with no neighbour, which no path shows. `data`: [[x, y], ...] as JSON."""

    name: str
    color: int
    path: str
    dots: list[Point]
    data: str
    last: str


@dataclass(frozen=True)
class Chart:
    """A drawing of `WIDTH` by `HEIGHT`. `scale`: x0, x1, y0, y1 of the frame, for the script."""

    title: str
    lines: list[Drawn]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    scale: str
    is_log: bool
    is_time: bool

    @property
    def last(self) -> str:
        """The last value of a chart with one line."""
        return self.lines[0].last if len(self.lines) == 1 else ""


def draw(
    title: str, lines: Sequence[Line], *, x: str, log: bool = False, names: Sequence[str] = ()
) -> Chart | None:
    """Draw lines in one frame; None where there is no number to draw.

    With `log`, y is logarithmic and what is not above zero is left out.
    """
    shown = [
        (name, _drawable(line.points, log=log))
        for name, line in zip(names or _keys(lines), lines, strict=True)
    ]
    shown = [(name, points) for name, points in shown if not all(math.isnan(y) for _, y in points)]
    if not shown:
        return None
    frame = _Frame.around([point for _, points in shown for point in points], log=log)
    return Chart(
        title=title,
        lines=[_draw_line(name, index % COLORS, points, frame) for index, (name, points) in enumerate(shown)],
        x_ticks=[
            Tick(frame.x(at), text) for at, text in _x_ticks(frame, is_time=x == _TIME, whole=x == STEP)
        ],
        y_ticks=[Tick(frame.y(at), formatting.number(at)) for at in _y_ticks(frame)],
        scale=json.dumps([frame.x0, frame.x1, frame.y0, frame.y1]),
        is_log=log,
        is_time=x == _TIME,
    )


def _keys(lines: Sequence[Line]) -> list[str]:
    return [line.key for line in lines]


def _drawable(points: Sequence[Point], *, log: bool) -> list[Point]:
    return thin([point for point in points if point[1] > 0] if log else points, MAX_POINTS)


@dataclass(frozen=True)
class _Frame:
    """The range of values shown; `log` means that y is the logarithm."""

    x0: float
    x1: float
    y0: float
    y1: float
    log: bool

    @classmethod
    def around(cls, points: Sequence[Point], *, log: bool) -> _Frame:
        xs = [at for at, _ in points]
        ys = [y for _, y in points if not math.isnan(y)]
        low, high = (math.log10(min(ys)), math.log10(max(ys))) if log else (min(ys), max(ys))
        if log and high - low < 1e-9:
            low, high = low - 0.5, high + 0.5
        return cls(*_padded(min(xs), max(xs), 0.0), *_padded(low, high, 0.05), log)

    def x(self, value: float) -> float:
        value = _within(value, self.x0, self.x1)
        return round(LEFT + (value - self.x0) / (self.x1 - self.x0) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        place = _within(math.log10(value) if self.log else value, self.y0, self.y1)
        return round(TOP + (self.y1 - place) / (self.y1 - self.y0) * (HEIGHT - TOP - BOTTOM), 1)


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _padded(low: float, high: float, share: float) -> tuple[float, float]:
    low, high = _within(low, -_HIGHEST, _HIGHEST), _within(high, -_HIGHEST, _HIGHEST)
    span = high - low
    if span <= max(abs(low), abs(high)) * 1e-12 or span < _LOWEST:
        margin = max(abs(low), abs(high)) * 0.1
        return (low - margin, high + margin) if margin > _LOWEST else (low - 1, high + 1)
    return low - span * share, high + span * share


def _draw_line(name: str, color: int, points: Sequence[Point], frame: _Frame) -> Drawn:
    path, dots = _path(points, frame)
    finite = [(at, y) for at, y in points if not math.isnan(y)]
    data = json.dumps([[_short(at), _short(y)] for at, y in finite], separators=(",", ":"))
    return Drawn(name, color, path, dots, data, formatting.number(finite[-1][1]))


def _short(value: float) -> float | int:
    return int(value) if value == int(value) and abs(value) < 2**53 else float(f"{value:.7g}")


def _path(points: Sequence[Point], frame: _Frame) -> tuple[str, list[Point]]:
    parts: list[str] = []
    dots: list[Point] = []
    for stretch in _stretches(points):
        places = [(frame.x(at), frame.y(y)) for at, y in stretch]
        if len(places) == 1:
            dots += places
        else:
            parts.append("M" + "L".join(f"{at:g} {y:g}" for at, y in places))
    return "".join(parts), dots


def _stretches(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Points between gaps."""
    stretch: list[Point] = []
    for point in points:
        if math.isnan(point[1]):
            if stretch:
                yield stretch
            stretch = []
        else:
            stretch.append(point)
    if stretch:
        yield stretch


def thin(points: Sequence[Point], limit: int) -> list[Point]:
    """At most about `limit` points that look the same: the lowest and highest of each part stay, and gaps."""
    if len(points) <= limit:
        return list(points)
    size = math.ceil(2 * (len(points) - 2) / max(1, limit - 2))
    kept = [points[0]]
    for start in range(1, len(points) - 1, size):
        part = points[start : min(start + size, len(points) - 1)]
        heights = [y for _, y in part if not math.isnan(y)]
        if not heights:
            kept.append(part[0])
            continue
        finite = [point for point in part if not math.isnan(point[1])]
        ends = {heights.index(min(heights)), heights.index(max(heights))}
        kept += [finite[index] for index in sorted(ends)]
    return [*kept, points[-1]]


def _y_ticks(frame: _Frame) -> list[float]:
    if not frame.log:
        return _round_ticks(frame.y0, frame.y1, _Y_TICKS)
    first, last = max(math.ceil(frame.y0), _LOWEST_POWER), math.floor(frame.y1)
    if last - first < 1:
        return _ticks_within_a_power(frame.y0, frame.y1)
    step = math.ceil((last - first + 1) / _Y_TICKS)
    return [10.0**power for power in range(first, last + 1, step)]


def _ticks_within_a_power(low: float, high: float) -> list[float]:
    """Numbers of two digits whose logarithm is from `low` to `high`; the ends of a float's range have few."""
    inner_low, inner_high = max(low, _FLOAT_POWERS[0]), min(high, _FLOAT_POWERS[1])
    if not inner_low < inner_high:
        return []
    ticks = [float(f"{10**place:.2g}") for place in _round_ticks(inner_low, inner_high, _Y_TICKS)]
    return [tick for tick in ticks if 0 < tick < math.inf and low <= math.log10(tick) <= high]


def _round_ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers from `low` to `high`."""
    rough = high / count - low / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 2.5, 5, 10) if one * power >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


_CLOCK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


def _x_ticks(frame: _Frame, *, is_time: bool, whole: bool) -> list[tuple[float, str]]:
    if not is_time:
        return [
            (at, formatting.number(_short(at)))
            for at in _round_ticks(frame.x0, frame.x1, _X_TICKS)
            if not whole or at == int(at)
        ]
    span = frame.x1 - frame.x0
    step = next(
        (one for one in _CLOCK_STEPS_S if span / one <= _X_TICKS), math.ceil(span / _X_TICKS / 86400) * 86400
    )
    first, last = math.ceil(frame.x0 / step), math.floor(frame.x1 / step)
    return [(index * step, _clock(index * step, step)) for index in range(first, last + 1)]


def _clock(seconds: float, step: float) -> str:
    form = "%H:%M:%S" if step < 60 else "%H:%M" if step < 86400 else "%m-%d"
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime(form)
    except (OverflowError, ValueError, OSError):
        return formatting.number(seconds)
