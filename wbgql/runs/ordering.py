"""The first runs over several projects: each project's own first ones, put together here. No I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import datetime
from heapq import nsmallest
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from wbgql.expressions import Field, Order
from wbgql.paths import ProjectPath
from wbgql.runs.nodes import RunNode, RunPage
from wbgql.runs.projections import Projection
from wbgql.runs.run import Run


def first_in_order(pages: Iterable[RunPage], order: Order, limit: int | None) -> Iterator[RunPage]:
    """Yield the `limit` runs that come first over all pages, by default all. Keeps no more than that many.

    Numbers come before text, and runs without a value last, whichever way it goes. Where two are
    equal, the project that was read first comes first.
    """
    projection = Projection.of([order.path])
    field = Field(order.path)

    def rank(item: tuple[ProjectPath, RunNode]) -> tuple[int, Any]:
        return _rank(Run(item[1], item[0], projection)[field], order.descending)

    nodes = chain.from_iterable(((page.project, node) for node in page) for page in pages)
    first = sorted(nodes, key=rank) if limit is None else nsmallest(limit, nodes, key=rank)
    for project, found in groupby(first, key=itemgetter(0)):
        yield RunPage(project, (node for _, node in found))


def lacks_order(page: RunPage, order: Order) -> bool:
    """Has no run of the page a value at the config or summary key it should be ordered by?"""
    if order.path.section == "run" or not page:
        return False
    projection, field = Projection.of([order.path]), Field(order.path)
    return all(isinstance(Run(node, page.project, projection)[field], dict | None) for node in page)


def text_among_numbers(page: RunPage, order: Order) -> str | None:
    """Say what a server that stores NaN and infinities as text puts in the wrong place on a page, or None.

    In descending order text comes before all numbers: NaN first, and -Infinity above every number.
    """
    if order.path.section == "run" or order.path.dotted is not None:
        return None
    projection, field = Projection.of([order.path]), Field(order.path)
    values = [Run(node, page.project, projection)[field] for node in page]
    numbers = [value for value in values if isinstance(value, float)]
    found = [
        condition
        for condition, is_there in (
            (f"not {order.path}.is_nan()", order.descending and any(map(math.isnan, numbers))),
            (f'{order.path} != "-Infinity"', -math.inf in numbers),
        )
        if is_there
    ]
    if not found:
        return None
    return (
        f"{order}: servers store NaN and infinities as text, which comes"
        f" {'before' if order.descending else 'after'} every number; to leave such runs out, add"
        f" {' and '.join(map(repr, found))} to the filter"
    )


def _rank(value: Any, descending: bool) -> tuple[int, Any]:
    if isinstance(value, datetime):
        value = value.timestamp()
    if isinstance(value, (int, float)) and value == value:  # noqa: PLR0124  # NaN has no place in an order
        return 0, -value if descending else value
    if isinstance(value, str):
        return 1, (*(-ord(char) for char in value), 1) if descending else value
    return 2, 0
