"""Cursors and pages of connections. No I/O."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any

from wbgql.errors import UsageError

MAX_PAGE = 1000
DEFAULT_PAGE = 50
_PREFIX = "arrayconnection:"
_CURSOR = re.compile(rf"{_PREFIX}([0-9]{{1,18}})")


def to_cursor(offset: int) -> str:
    """The cursor of the item at `offset`."""
    return to_cursors(offset, 1)[0]


def to_cursors(offset: int, count: int) -> list[str]:
    """The cursors of `count` items from `offset` on."""
    encode, prefix = binascii.b2a_base64, _PREFIX.encode()
    return [
        encode(b"%b%d" % (prefix, number), newline=False).decode() for number in range(offset, offset + count)
    ]


def offset_after(cursor: str | None) -> int:
    """Where the page after `cursor` begins.

    Raises:
        UsageError: not one of our cursors.
    """
    if not cursor:
        return 0
    try:
        found = _CURSOR.fullmatch(base64.b64decode(cursor, validate=True).decode())
    except ValueError:  # not ASCII, not base64, or not UTF-8 inside
        found = None
    if found is None:
        raise UsageError(f"not a cursor: {cursor!r}")
    return int(found[1]) + 1


def page_size(first: int | None, *, default: int = DEFAULT_PAGE) -> int:
    """How many items a page holds: `first`, at most 1000.

    Raises:
        UsageError: `first` is negative.
    """
    if first is not None and first < 0:
        raise UsageError(f"first is negative: {first}")
    return min(default if first is None else first, MAX_PAGE)


def to_connection(nodes: Sequence[Any], offset: int, *, has_next: bool, **extra: Any) -> dict[str, Any]:
    """Edges with cursors and a pageInfo around one page of nodes."""
    cursors = to_cursors(offset, len(nodes))
    edges = [{"node": node, "cursor": cursor} for node, cursor in zip(nodes, cursors, strict=True)]
    return {"edges": edges, "pageInfo": to_page_info(len(nodes), offset, has_next=has_next), **extra}


def to_page_info(count: int, offset: int, *, has_next: bool) -> dict[str, Any]:
    """The pageInfo of a page of `count` items from `offset` on."""
    return {
        "startCursor": to_cursor(offset) if count else None,
        "endCursor": to_cursor(offset + count - 1) if count else None,
        "hasNextPage": has_next,
        "hasPreviousPage": offset > 0,
    }


def slice_connection(
    nodes: Sequence[Any], first: int | None, after: str | None, **extra: Any
) -> dict[str, Any]:
    """One page of a list that is in memory; all of it where `first` is null."""
    offset = offset_after(after)
    size = len(nodes) if first is None else page_size(first)
    page = nodes[offset : offset + size]
    return to_connection(page, offset, has_next=offset + size < len(nodes), **extra)
