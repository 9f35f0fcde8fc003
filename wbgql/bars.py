"""A progress bar on the terminal: how far, how fast, and how long it will take. Gone when the work ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from wbgql.progress import NoProgress, Progress

if TYPE_CHECKING:
    from rich.progress import Task


@contextmanager
def terminal_bar(what: str) -> Iterator[Progress]:
    """Draw a bar on stderr if that is a terminal; otherwise draw nothing."""
    if not sys.stderr.isatty():
        yield NoProgress()
        return
    with draw_bar(what) as progress:
        yield progress


@contextmanager
def draw_bar(what: str) -> Iterator[Progress]:
    """Draw a bar on stderr, whatever that is. Shows the rate, and the time left once a total is known."""
    from rich.console import Console  # noqa: PLC0415  # rich costs 0.1 s to import
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.progress import Progress as RichProgress  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class Rate(ProgressColumn):
        """Items per second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.1f}/s")

    class Left(ProgressColumn):
        """The time left, where that can be said."""

        max_refresh = 0.5

        def render(self, task: Task) -> Text:
            left = task.time_remaining
            return Text("" if left is None else f"{timedelta(seconds=int(left))} left")

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeElapsedColumn(),
        Left(),
    )
    console = Console(file=sys.stderr)
    # Data must reach stdout untouched; what is said on stderr meanwhile is put above the bar.
    with RichProgress(*columns, console=console, transient=True, redirect_stdout=False) as drawn:
        yield _Bar(drawn, drawn.add_task(what, total=None))


class _Bar:
    """A `Progress` on the terminal."""

    def __init__(self, drawn: Any, task: Any) -> None:
        self._drawn = drawn
        self._task = task

    def report(self, done: int, total: int | None) -> None:
        """Draw `done` of `total`."""
        self._drawn.update(self._task, completed=done, total=total)
