"""Relay connections, and the one loop that pages through them. No I/O.

`iter_nodes` is the only place that follows cursors: every noun hands it a function that
fetches one page.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from wbgql.cautions import warn
from wbgql.errors import (
    CoverageWarning,
    ResponseError,
    ServerUnavailable,
    UnstablePopulation,
    UnstableWarning,
    UsageError,
)

T = TypeVar("T")

DEFAULT_PAGE_SIZE = 1000
MIN_PAGE_SIZE = 10
"""Below this a page is never halved: the page is then not what the server chokes on."""

_MAX_BARREN_PAGES = 10
_MAX_VAIN_READINGS = 3
_GATEWAY_GAVE_UP = (502, 504)
DEADLINE_EXCEEDED = "deadline exceeded"
"""What the server says, with HTTP 500, if a query took it too long. Source: wandb/wandb#5372 (2024)."""


class PageInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """Whether there is more, and from where. `end_cursor` is null on an empty page."""

    has_next_page: bool
    end_cursor: str | None = None


class Edge(msgspec.Struct, Generic[T], frozen=True, kw_only=True, gc=False, rename="camel"):
    """One node and the cursor behind it; `cursor` is `msgspec.UNSET` unless the operation asks for it."""

    node: T | None
    cursor: str | msgspec.UnsetType | None = msgspec.UNSET


class Connection(msgspec.Struct, Generic[T], frozen=True, kw_only=True, gc=False, rename="camel"):
    """One page of a list. `total_count` is `msgspec.UNSET` unless the operation asks for it."""

    edges: list[Edge[T] | None]
    page_info: PageInfo
    total_count: int | msgspec.UnsetType | None = msgspec.UNSET

    @property
    def nodes(self) -> list[T]:
        """The page's nodes, in the server's order, without nulls."""
        return [edge.node for edge in self.edges if edge is not None and edge.node is not None]

    @property
    def hidden(self) -> int:
        """How many rows came as null: this key may not see them."""
        return sum(edge is None or edge.node is None for edge in self.edges)


class Changes:
    """What a client has changed, so that its lists know. `count` moves with each mutation it sends."""

    def __init__(self) -> None:
        self.count = 0
        self._numbers = itertools.count(1)
        self._made: dict[str, int] = {}

    def note(self, made: str | None = None) -> None:
        """Note a mutation, before it is sent and after; `made` is the key of what it created."""
        self.count = next(self._numbers)
        if made is not None:
            self._made[made] = self.count

    def made_since(self, count: int, key: str) -> bool:
        """Whether this client created the node of that key after it had made `count` changes."""
        return self._made.get(key, 0) > count


@dataclass(frozen=True, slots=True)
class Begun(Generic[T]):
    """The first page of a list that came with something else, and `changes.count` when it was asked for."""

    page: Connection[T]
    asked: int


def iter_nodes(
    fetch: Callable[[int, str | None], Connection[T]],
    *,
    changes: Changes,
    page_size: int = DEFAULT_PAGE_SIZE,
    limit: int | None = None,
    key: Callable[[T], str] | None = None,
    begun: Begun[T] | None = None,
    what: str = "rows of a list",
    counted: bool = False,
    on_page: Callable[[Connection[T]], object] | None = None,
    on_warning: Callable[[str], object] | None = None,
    on_hidden: Callable[[int], object] | None = None,
) -> Iterator[T]:
    """Yield every node of a connection, lazily, page after page.

    `fetch(first, after)` returns one page. Sends about n / `page_size` requests, none
    before the first node is asked for; the last page asks only for what `limit` leaves.
    Nodes come in the server's order. With `key`, a node whose key was already seen is
    dropped: cursors over a list that changes repeat nodes (and may skip some). Keys are
    kept in memory until the end.

    A caller may change what it is listing. If this client sent a mutation since a page was
    asked for, that page is asked for once more, because a cursor may be an offset. If the
    page still begins with the same node, its new nodes are given and the list goes on. If
    not, the list is read from its start. The list is complete when one reading from start
    to end was not interrupted by a change. What this client creates meanwhile is not given.
    Costs at most two more requests for each page. Without `key` none of this is done.

    If the server's count moves and this client changed nothing, others changed the list,
    and `on_warning` is called.

    A page that a gateway or the server gave up on (502, 504, timeout, "deadline exceeded") is asked
    for again, half as large, down to 10. A cursor that repeats, or is missing where there should be more,
    ends the loop; as the list is then perhaps not complete, `on_warning` is called
    (without it, `UnstableWarning` is issued). So it is if different nodes of one page have the same key.

    Rows that come as null are left out, since this key may not see them. So are, with `counted`,
    rows that the server's count of a list has and its pages do not. At the end of the list
    `on_hidden` is called with their number; without it, a `CoverageWarning` says it, and names
    `what` is listed, in the plural.

    Raises:
        UsageError: `page_size` below 1 or `limit` below 0; at the call, not at the first node.
        ResponseError: ten pages in a row brought nothing new and each promised more.
        UnstablePopulation: this client changed the list, and the server gives no cursor to go on.
        RequestError: whatever `fetch` raises.
    """
    pages = iter_pages(
        fetch,
        changes=changes,
        page_size=page_size,
        limit=limit,
        key=key,
        begun=begun,
        what=what,
        counted=counted,
        on_warning=on_warning,
        on_hidden=on_hidden,
    )
    return _nodes(pages, on_page)


def iter_pages(
    fetch: Callable[[int, str | None], Connection[T]],
    *,
    changes: Changes,
    page_size: int = DEFAULT_PAGE_SIZE,
    limit: int | None = None,
    key: Callable[[T], str] | None = None,
    begun: Begun[T] | None = None,
    what: str = "rows of a list",
    counted: bool = False,
    on_warning: Callable[[str], object] | None = None,
    on_hidden: Callable[[int], object] | None = None,
) -> Iterator[tuple[Connection[T], list[T]]]:
    """Yield each page with those of its nodes that are new and within the limit; as `iter_nodes`."""
    if page_size < 1:
        raise UsageError(f"page_size must be at least 1, not {page_size!r}")
    if limit is not None and limit < 0:
        raise UsageError(f"limit must not be negative, not {limit!r}")
    given = _Given(key, changes, counted=counted)
    pages = _iter_pages(fetch, Window(page_size, limit), given, begun, on_warning or _warn)
    return _saying_what_is_hidden(pages, given, on_hidden or _warner_of_hidden(what))


def may_be_too_large(error: ServerUnavailable) -> bool:
    """Whether a smaller page might have come through: the server was reached and gave up."""
    gave_up = error.status in _GATEWAY_GAVE_UP or DEADLINE_EXCEEDED in (error.said or "")
    return gave_up or (error.timed_out and error.sent)


class Window:
    """What the loop has left to fetch, and how much of it in one page."""

    def __init__(self, page_size: int, limit: int | None) -> None:
        self.page_size = page_size
        self.left = limit

    @property
    def first(self) -> int:
        return self.page_size if self.left is None else min(self.page_size, self.left)

    @property
    def is_full(self) -> bool:
        return self.left == 0

    def take(self, nodes: list[T]) -> list[T]:
        if self.left is None:
            return nodes
        taken = nodes[: self.left]
        self.left -= len(taken)
        return taken

    def halve(self, asked: int) -> bool:
        """Make the next page half of `asked`; False where it is as small as it gets."""
        if asked <= MIN_PAGE_SIZE:
            return False
        self.page_size = max(MIN_PAGE_SIZE, asked // 2)
        return True


def _nodes(
    pages: Iterator[tuple[Connection[T], list[T]]], on_page: Callable[[Connection[T]], object] | None
) -> Iterator[T]:
    for page, nodes in pages:
        if on_page is not None:
            on_page(page)
        yield from nodes


class _Given(Generic[T]):
    """The keys of the nodes that a list has given, and the changes that its client made meanwhile."""

    def __init__(self, key: Callable[[T], str] | None, changes: Changes, *, counted: bool = False) -> None:
        self.key = key
        self.counted = counted
        self.hidden = 0  # rows that the latest reading could not see
        self.changes = changes
        self.keys: set[str] = set()
        self._since = changes.count

    @property
    def is_changed(self) -> bool:
        """Whether this client changed something since the list began."""
        return self.changes.count != self._since

    def take(self, nodes: list[T], warn: Callable[[str], object]) -> list[T]:
        """Return those that were not given yet, and count them as given."""
        if self.key is None:
            return nodes
        if _contradicts(nodes, self.key):
            warn("rows of one page have the same id and differ: only the first of each id is given")
        new = _drop_seen(nodes, self.key, self.keys)
        if not self.is_changed:
            return new
        return [node for node in new if not self.changes.made_since(self._since, self.key(node))]


def _saying_what_is_hidden(
    pages: Iterator[tuple[Connection[T], list[T]]], given: _Given[T], tell: Callable[[int], object]
) -> Iterator[tuple[Connection[T], list[T]]]:
    """Pass pages on; at the end, tell how many rows could not be seen."""
    yield from pages
    if given.hidden:
        tell(given.hidden)


def _warner_of_hidden(what: str) -> Callable[[int], object]:
    def tell(hidden: int) -> None:
        warn(
            CoverageWarning(
                f"{hidden} {what} are missing here: the server gives them as null, or counts them and does"
                " not give them; this key may not see them"
            )
        )

    return tell


def _iter_pages(
    fetch: Callable[[int, str | None], Connection[T]],
    window: Window,
    given: _Given[T],
    begun: Begun[T] | None,
    warn: Callable[[str], object],
) -> Iterator[tuple[Connection[T], list[T]]]:
    vain = 0
    while vain < _MAX_VAIN_READINGS:
        known = len(given.keys)
        if (yield from _read(fetch, window, given, begun, warn)):
            return
        begun = None
        vain = 0 if len(given.keys) > known else vain + 1
    # What the caller does with a node is done between pages; only other threads change things all the time.
    warn("this client changed things in other threads while the list was read: it may not be complete")


def _read(
    fetch: Callable[[int, str | None], Connection[T]],
    window: Window,
    given: _Given[T],
    begun: Begun[T] | None,
    warn: Callable[[str], object],
) -> Generator[tuple[Connection[T], list[T]], None, bool]:
    """Read a list from its start and yield what is new; return whether nothing can be missing."""
    key, changes = given.key, given.changes
    seen_keys: set[str] = set() if given.keys else given.keys
    seen_cursors: set[str] = set()
    after: str | None = None
    head: str | None = None  # the key that a page asked for once more must begin with
    total: int | None = None
    told = False  # that others changed the list
    started = barren = rows = given.hidden = 0
    while not window.is_full:
        asked = changes.count if begun is None else begun.asked
        started = asked if after is None else started
        page = fetch_page(fetch, window, after) if begun is None else begun.page
        begun = None
        # Read at one instant, as far as this client's own changes go.
        whole = after is None or changes.count == started
        counted = page.total_count if isinstance(page.total_count, int) else None
        nodes = page.nodes
        rows += len(nodes)
        given.hidden += page.hidden
        if key is not None and head is not None and [key(node) for node in nodes[:1]] != [head]:
            return False
        if None not in (total, counted) and total != counted and whole and not told:
            told = True
            warn(
                f"others changed the list while it was read (the server counted {total}, then {counted}): "
                "it may not be complete"
            )
        total = counted
        fresh = nodes if key is None or seen_keys is given.keys else _drop_seen(nodes, key, seen_keys)
        new = given.take(nodes, warn)
        yield page, window.take(new)
        if not page.page_info.has_next_page:
            if given.counted and whole and counted is not None and not given.is_changed:
                given.hidden = max(given.hidden, counted - (len(seen_keys) if key else rows))
            return whole or key is None
        barren = 0 if new or (fresh and seen_keys is not given.keys) else barren + 1
        if barren == _MAX_BARREN_PAGES:
            raise ResponseError(
                f"{barren} pages in a row brought nothing new, each promising more: {after!r}"
            )
        again = key is not None and bool(new) and changes.count != asked
        head = key(nodes[0]) if key is not None and again and after is not None else None
        if again:
            total = None
            del page, nodes, new, fresh
            continue
        after = next_cursor(page, seen_cursors)
        if after is None:
            message = "the server promised more but gave no new cursor: the list may not be complete"
            if given.is_changed:
                raise UnstablePopulation(f"{message}, and this client changed what it lists")
            warn(message)
            return True
        seen_cursors.add(after)
        # A page may be large: it goes before the next one comes. So too in all that hand pages on.
        del page, nodes, new, fresh
    return True


def fetch_page(
    fetch: Callable[[int, str | None], Connection[T]], window: Window, after: str | None
) -> Connection[T]:
    """Return one page; one that a gateway gave up on is asked for again, half as large."""
    while True:
        first = window.first
        try:
            return fetch(first, after)
        except ServerUnavailable as error:
            if not may_be_too_large(error) or not window.halve(first):
                raise


def _contradicts(nodes: list[T], key: Callable[[T], str]) -> bool:
    """Whether nodes of one page have the same key and differ; a page that repeats a node does not."""
    by_key: dict[str, T] = {}
    return any(by_key.setdefault(key(node), node) != node for node in nodes)


def _drop_seen(nodes: list[T], key: Callable[[T], str], seen: set[str]) -> list[T]:
    keys = set(map(key, nodes))
    if len(keys) == len(nodes) and seen.isdisjoint(keys):
        seen |= keys
        return nodes
    new = []
    for node in nodes:
        identity = key(node)
        if identity not in seen:
            seen.add(identity)
            new.append(node)
    return new


def next_cursor(page: Connection[T], seen: set[str]) -> str | None:
    """Where the next page starts, or None where that was already asked for or is not said.

    Source: the SDK's run and file lists go on from the last edge's cursor, its generated
    lists from `pageInfo.endCursor` (wandb SDK 0.31.0 `apis/public/runs.py`, 2026-11): both work.
    """
    cursor = page.page_info.end_cursor
    if cursor is None:
        cursors = [edge.cursor for edge in page.edges if edge is not None and isinstance(edge.cursor, str)]
        cursor = cursors[-1] if cursors else None
    return None if cursor is None or cursor in seen else cursor


def _warn(message: str) -> None:
    warn(message, UnstableWarning)
