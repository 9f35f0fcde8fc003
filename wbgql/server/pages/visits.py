"""What a view gets and what it gives back. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from wbgql.errors import NotFound, UsageError
from wbgql.server.backend import Context
from wbgql.server.pages.links import Links
from wbgql.server.projects import rows as projects
from wbgql.server.store.database import Row

MAX_PAGE = 10_000_000


@dataclass(frozen=True)
class Visit:
    """One request for a page by a viewer who is signed in."""

    context: Context
    path: dict[str, str]
    query: QueryParams
    links: Links

    @property
    def now(self) -> datetime:
        """The present instant."""
        return self.context.backend.clock()

    def page_number(self) -> int:
        """The page asked for, from 1.

        Raises:
            UsageError: not a number of a page.
        """
        text = self.query.get("page") or "1"
        if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= MAX_PAGE):
            raise UsageError(f"not the number of a page: {text[:20]!r}")
        return int(text)

    def query_with(self, **changes: str | None) -> list[tuple[str, str]]:
        """The query of this page with some values changed; None takes one away, and the page goes too."""
        kept = [
            (name, value)
            for name, value in self.query.multi_items()
            if name not in changes and name != "page"
        ]
        return [*kept, *((name, value) for name, value in changes.items() if value)]

    def project(self) -> Row:
        """The project in the path.

        Raises:
            NotFound: missing or not visible, as GraphQL answers null.
        """
        entity, name = self.path["entity"], self.path["project"]
        found = projects.find_project(self.context, entity, name)
        if found is None:
            raise NotFound(f"there is no project {entity}/{name} that you may see", status=404)
        return found


@dataclass(frozen=True)
class Page:
    """A template and what it shows."""

    template: str
    values: dict[str, Any]
    status: int = 200


@dataclass(frozen=True)
class Content:
    """A stored content to send: `name` and `blob` of `file`."""

    file: Row


Answer = Page | Content


@dataclass(frozen=True)
class Pager:
    """Where a page of a list stands, with links to its neighbours; `total` is None where nobody counted."""

    number: int
    size: int
    shown: int
    total: int | None
    previous: str | None
    following: str | None

    @property
    def first(self) -> int:
        """The number of the first item shown, from 1; 0 where there is none."""
        return (self.number - 1) * self.size + 1 if self.shown else 0

    @property
    def last(self) -> int:
        """The number of the last item shown."""
        return (self.number - 1) * self.size + self.shown


def turn_pages(
    visit: Visit, size: int, *, shown: int, more: bool, total: int | None = None, number: int | None = None
) -> Pager:
    """The pager of a list of which `shown` items are on this page; its links change nothing but the page."""
    number = visit.page_number() if number is None else number

    def link(to: int) -> str:
        return f"?{urlencode([*visit.query_with(), ('page', str(to))])}"

    return Pager(
        number,
        size,
        shown,
        total,
        link(number - 1) if number > 1 else None,
        link(number + 1) if more else None,
    )
