"""How far long work has come: a bar on stderr, only where that is a terminal, gone when the work ends."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from wbgql.cli.shared.app import App
from wbgql.cli.shared.output import Listing, write_list
from wbgql.cli.shared.terminal import printable

if TYPE_CHECKING:
    from wbgql.progress import Progress

T = TypeVar("T")


@contextmanager
def bar(app: App, what: str, *, beside: bool = True) -> Iterator[Progress]:
    """Give something to report to. `beside`: nothing else goes to the terminal meanwhile."""
    from wbgql.progress import NoProgress

    if app.quiet or not beside or not app.shows_bars():
        yield NoProgress()
        return
    from wbgql.bars import draw_bar

    with draw_bar(printable(what)) as progress:
        yield progress


def write_counted(
    app: App, what: str, listing: Listing[Any], format_: str | None, output: Path | None
) -> int:
    """As `write_list`, with a bar that counts the items, unless they themselves go to the terminal."""
    is_file = output is not None and str(output) != "-"
    beside = is_file or not sys.stdout.isatty() or format_ in (None, "table")
    with closing(_tracked(app, what, listing.items, beside=beside)) as items:
        return write_list(replace(listing, items=items), format_, output)


def _tracked(app: App, what: str, items: Iterable[T], *, beside: bool) -> Generator[T]:
    """Pass the items on and count them; the bar is gone before whatever comes after the last."""
    with bar(app, what, beside=beside) as progress:
        done = 0
        for done, item in enumerate(items, 1):
            if done % 100 == 1:
                progress.report(done, None)
            yield item
