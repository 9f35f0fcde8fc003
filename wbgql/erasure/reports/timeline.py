"""The timeline of a case as a drawing: what was decided, done and proved, and which clocks run. No I/O.

Times lie minutes and years apart, so the axis is not to scale: each step is as wide as the logarithm of its
length. Every mark has a number, which a table explains. A clock that nobody knows is drawn open, with a "?".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import log1p
from typing import Literal

from wbgql.erasure.evidence.certificate import Certificate, Checked
from wbgql.erasure.evidence.wording import WORDS, Words
from wbgql.scalars import parse_datetime

Lane = Literal["decided", "done", "proved"]
Mark = Literal["plain", "good", "bad", "store", "seal"]

LANES: tuple[Lane, ...] = ("decided", "done", "proved")
MAX_EVENTS = 24
WIDTH, LEFT, RIGHT = 720, 96, 34
_TOP, _LANE_HEIGHT, _CLOCK_HEIGHT = 16, 40, 24
_LEAST_STEP = 19.0
_LABEL_WIDTH = 76
_WORDS_WIDTH = 112


@dataclass(frozen=True)
class Event:
    """One thing that happened, or is due, at a known time."""

    at: datetime
    lane: Lane
    words: str
    mark: Mark = "plain"
    is_ahead: bool = False


@dataclass(frozen=True)
class Placed:
    """An event with its number and its place."""

    number: int
    x: float
    y: float
    event: Event


@dataclass(frozen=True)
class Bar:
    """One clock: from when the last run was hidden to when it ends; `x2` None: nobody knows when."""

    name: str
    x1: float
    x2: float | None
    y: float
    words: str

    @property
    def words_x(self) -> float:
        """Where its words begin: inside where there is room, else behind it, or before it at the edge."""
        if self.x2 is None or self.x2 - self.x1 >= _WORDS_WIDTH:
            return self.x1 + 6
        if self.x2 + _WORDS_WIDTH <= WIDTH:
            return self.x2 + 5
        return self.x1 - _WORDS_WIDTH


@dataclass(frozen=True)
class Label:
    """A date under the axis."""

    x: float
    text: str


@dataclass(frozen=True)
class Timeline:
    """A drawing, for a template: marks, bars and dates in the units of its `width` and `height`."""

    width: int
    height: int
    axis_y: float
    lanes: list[tuple[str, float]]
    events: list[Placed]
    bars: list[Bar]
    labels: list[Label]
    left_out: int
    right: float


def make_timeline(certificate: Certificate) -> Timeline:
    """Draw the timeline of a certificate."""
    every = sorted(_events(certificate), key=lambda event: event.at)
    shown = _thinned(every)
    ends = [parse_datetime(timed.ends_at) for timed in certificate.clocks if timed.ends_at]
    start = _start(certificate)
    places = _places([*(event.at for event in shown), *ends, *([start] if start else [])])
    lane_y = {lane: _TOP + _LANE_HEIGHT * (number + 0.5) for number, lane in enumerate(LANES)}
    xs = _spread(shown, places)
    events = [
        Placed(number, x, lane_y[event.lane], event)
        for number, (x, event) in enumerate(zip(xs, shown, strict=True), 1)
    ]
    clocks_y = _TOP + _LANE_HEIGHT * len(LANES) + 10
    bars = list(_bars(certificate, places, start, clocks_y))
    axis_y = clocks_y + _CLOCK_HEIGHT * len(bars) + 8
    return Timeline(
        width=WIDTH,
        height=int(axis_y + 24),
        axis_y=axis_y,
        lanes=[(lane, lane_y[lane]) for lane in LANES],
        events=events,
        bars=bars,
        labels=list(_labels(places)),
        left_out=len(every) - len(shown),
        right=WIDTH - RIGHT,
    )


def _events(certificate: Certificate) -> Iterator[Event]:
    issued = parse_datetime(certificate.issued_at)
    yield from _decided(certificate, issued)
    execution = certificate.execution
    if execution.started_at:
        yield Event(parse_datetime(execution.started_at), "done", "the job began")
    if execution.finished_at and execution.finished_at != execution.started_at:
        yield Event(parse_datetime(execution.finished_at), "done", "the last outcome was recorded")
    for look in certificate.verifications:
        yield _look(look, WORDS[certificate.version])
    for attested in certificate.attestations:
        words = f"the operator recorded the provider's word: {attested.reference}"
        yield Event(parse_datetime(attested.at), "proved", words, "store")
    yield Event(issued, "proved", f"this certificate: {certificate.stage}", "seal")


def _decided(certificate: Certificate, issued: datetime) -> Iterator[Event]:
    request = certificate.request
    if (received := _instant(request.received_at)) is not None:
        yield Event(received, "decided", "the request came in")
    if (due := _instant(request.due_at)) is not None:
        yield Event(due, "decided", "the request is due", is_ahead=due > issued)
    yield Event(parse_datetime(certificate.plan.created_at), "decided", "the plan was made")
    for approval in certificate.approvals.given if certificate.approvals else ():
        yield Event(parse_datetime(approval.at), "decided", f"approved by a key listed as {approval.role}")


def _look(look: Checked, words: Words) -> Event:
    what = "the store was looked at" if look.kind == "storage" else "independent reads"
    good = look.verdict in ("hidden", "absent")
    mark: Mark = "bad" if not good else "store" if look.kind == "storage" else "good"
    return Event(parse_datetime(look.at), "proved", f"{what}: {words.verdicts[look.verdict]}", mark)


def _thinned(events: Sequence[Event]) -> list[Event]:
    """At most `MAX_EVENTS`: good looks in the middle go first, one as good as the next."""
    if len(events) <= MAX_EVENTS:
        return list(events)
    good = [event for event in events if event.mark == "good"]
    room = max(2, MAX_EVENTS - (len(events) - len(good)))
    kept = {id(event) for event in (*good[: room - room // 2], *good[len(good) - room // 2 :])}
    return [event for event in events if event.mark != "good" or id(event) in kept]


def _start(certificate: Certificate) -> datetime | None:
    return _instant(certificate.execution.finished_at)


def _places(times: Sequence[datetime]) -> dict[datetime, float]:
    """Where each time lies on an axis that is as long as the logarithms of its steps."""
    ordered = sorted(set(times))
    offsets = [0.0]
    for before, after in pairwise(ordered):
        offsets.append(offsets[-1] + _LEAST_STEP + 6 * log1p((after - before).total_seconds() / 60))
    span = WIDTH - LEFT - RIGHT - 24
    scale = span / offsets[-1] if offsets[-1] else 0.0
    return {time: LEFT + 12 + offset * scale for time, offset in zip(ordered, offsets, strict=True)}


def _spread(events: Sequence[Event], places: dict[datetime, float]) -> list[float]:
    """Places of the marks, pushed apart where two of one lane would touch."""
    last: dict[Lane, float] = {}
    xs = []
    for event in events:
        x = max(places[event.at], last.get(event.lane, -_LEAST_STEP) + _LEAST_STEP)
        last[event.lane] = x
        xs.append(x)
    return xs


def _bars(
    certificate: Certificate, places: dict[datetime, float], start: datetime | None, top: float
) -> Iterator[Bar]:
    if start is None:
        return
    for number, timed in enumerate(certificate.clocks):
        ends = _instant(timed.ends_at)
        source = {"server": "server", "declared": "declared", "unknown": "unknown"}[timed.clock.source]
        yield Bar(
            name=WORDS[certificate.version].clock_names[timed.clock.name],
            x1=places[start],
            x2=None if ends is None else places[ends],
            y=top + _CLOCK_HEIGHT * (number + 0.5),
            words="unknown" if ends is None else f"{source}: {ends:%Y-%m-%d}",
        )


def _labels(places: dict[datetime, float]) -> Iterator[Label]:
    last_x, last_day = float("-inf"), ""
    for time, x in places.items():
        text = f"{time:%Y-%m-%d}"
        if text != last_day and x - last_x >= _LABEL_WIDTH:
            yield Label(x, text)
            last_x, last_day = x, text


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_datetime(text)
    except ValueError:
        return None
