"""What is asked of runs, checked and made ready to send. No I/O, no clock: `now` is an argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from wbgql.cautions import warn
from wbgql.errors import FilterError, FilterWarning, UsageError
from wbgql.expressions import (
    PRESENCE,
    Expr,
    Field,
    FieldPath,
    Order,
    check_filterable,
    compile_filter,
    compile_order,
    fields_of,
    parse_expression,
    parse_field,
    parse_order,
    split_filter,
)
from wbgql.filters import keys_of, lint_filter
from wbgql.runs.keys import Write, path_of_raw, write_raw
from wbgql.runs.nodes import DEFAULT_ORDER, MAX_PAGE_SIZE
from wbgql.runs.projections import EVERYTHING, NOTHING, Projection

Where = Expr | str | None
OrderLike = Order | Field | str | None
Select = Sequence[Field | str] | Literal["*"]
OnUnstable = Literal["raise", "warn"]


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked, in the parts that each side sees to.

    `filters` is what the server decides, `rest` what is left to the client, or None. `shown` is what the
    caller selected, `sent` what has to travel for that and for `rest`. `warnings` are of the filter.
    `rechecked`: whoever asks holds every run to the filter.
    """

    where: Expr | None
    order: Order | None
    select: tuple[Field, ...] | Literal["*"]
    limit: int | None
    page_size: int
    now: datetime
    filters: dict[str, Any]
    rest: Expr | None = None
    stable: bool = False
    on_unstable: OnUnstable = "raise"
    warnings: tuple[str, ...] = ()
    extra: Projection = NOTHING
    bare: bool = False
    rechecked: bool = False
    shown: Projection = field(init=False)
    sent: Projection = field(init=False)

    def __post_init__(self) -> None:
        shown = EVERYTHING if self.select == "*" else Projection.of(selected.path for selected in self.select)
        sent = shown | self.extra
        if not self.bare or self.rest is not None:
            sent = replace(sent, parts=True)
        paths = set() if self.rest is None else set(fields_of(self.rest))
        if not self.rechecked:
            # What decides travels along, so that a server that ignores the filter is noticed.
            paths.update(path for path in self.filtered if path.dotted is None)
        if self.order is not None and self.sorts_here:
            paths.add(self.order.path)
        if paths:
            sent = (sent | Projection.of(sorted(paths, key=str))).widened(paths)
        object.__setattr__(self, "shown", shown)
        object.__setattr__(self, "sent", sent)

    @property
    def others(self) -> dict[str, Any] | None:
        """The filter for the runs for which `where` does not hold; None where it cannot be said."""
        if self.where is None or self.rest is not None:
            return None
        try:
            return compile_filter(~self.where, now=self.now)
        except FilterError:
            return None

    def with_order_sent(self) -> Question:
        """The same, with the values that it sorts by."""
        if self.order is None:
            return self
        return replace(self, extra=self.extra | Projection.of([self.order.path]))

    def selecting(self, fields: Sequence[Field | str]) -> Question:
        """The same, with these fields selected too."""
        if self.select == "*":
            return self
        more = {str(selected): selected for selected in (*self.select, *map(_as_field, fields))}
        return replace(self, select=tuple(more.values()))

    @property
    def sorts_here(self) -> bool:
        """Whether the client sorts: the server cannot, by a key with a dot."""
        return self.order is not None and self.order.path.dotted is not None

    @property
    def order_text(self) -> str:
        """The order as it is sent."""
        return DEFAULT_ORDER if self.order is None or self.sorts_here else compile_order(self.order)

    @property
    def filtered(self) -> dict[FieldPath, bool]:
        """The fields that the filter names, each with whether a value is asked for, not presence alone."""
        found: dict[FieldPath, bool] = {}
        if self.where is not None:
            for condition in self.where.conditions():
                found[condition.path] = found.get(condition.path, False) or condition.op not in PRESENCE
            return found
        for key, valued in keys_of(self.filters):
            path = path_of_raw(key)
            if path is not None:
                found[path] = found.get(path, False) or valued
        return found

    @property
    def may_be_objects(self) -> set[FieldPath]:
        """Keys whose presence alone is asked for, or that are selected: an object will do there."""
        filtered, ordered = self.filtered, self.order.path if self.order is not None else None
        selected = [one.path for one in self.select if isinstance(one, Field)]
        return {path for path in (*filtered, *selected) if not filtered.get(path) and path != ordered}

    def writer_of(self, path: FieldPath) -> Write:
        """Return what writes a key in its language: as a filter dict has it where one names it."""
        return write_raw if self.where is None and path in self.filtered else str

    @property
    def paths(self) -> list[FieldPath]:
        """What the filter and the order look at, in order of their names."""
        paths = set(self.filtered)
        if self.order is not None:
            paths.add(self.order.path)
        return sorted(paths, key=str)


def make_question(
    *,
    where: Where,
    order: OrderLike,
    select: Select,
    limit: int | None,
    filters: Mapping[str, Any] | None,
    page_size: int,
    client_side: bool,
    stable: bool,
    on_unstable: OnUnstable,
    now: datetime,
) -> Question:
    """Check what was asked and compile it.

    Raises:
        FilterError: the server would refuse or misread it, or only the client could decide it and
            `client_side` is not set.
        UsageError: arguments that contradict each other or are out of range.
    """
    if limit is not None and limit < 0:
        raise UsageError(f"limit must not be negative, not {limit!r}")
    if not 1 <= page_size <= MAX_PAGE_SIZE:
        raise UsageError(f"page_size must be from 1 to {MAX_PAGE_SIZE}, not {page_size!r}")
    if on_unstable not in ("raise", "warn"):
        raise UsageError(f"on_unstable is 'raise' or 'warn', not {on_unstable!r}")
    expr = _as_expr(where, client_side)
    ordered = _as_order(order, client_side)
    here = ordered is not None and ordered.path.dotted is not None
    if here and ordered is not None and not client_side:
        check_filterable(ordered.path)
    if stable and ordered is not None and (here or compile_order(ordered) != DEFAULT_ORDER):
        raise UsageError(
            f"stable=True reads by creation time: leave out order={str(ordered)!r}, or sort after"
        )
    served, rest = split_filter(expr) if client_side else (expr, None)
    compiled, found = _compile(expr, served, filters, now)
    return Question(
        where=expr,
        order=ordered,
        select=_as_select(select),
        limit=limit,
        page_size=page_size,
        now=now,
        filters=compiled,
        rest=rest,
        stable=stable,
        on_unstable=on_unstable,
        warnings=found,
    )


def _compile(
    where: Expr | None, served: Expr | None, filters: Mapping[str, Any] | None, now: datetime
) -> tuple[dict[str, Any], tuple[str, ...]]:
    if filters is None:
        return compile_filter(served, now=now), tuple(where.warnings()) if where is not None else ()
    if where is not None:
        raise UsageError("give `where` (an expression) or `filters` (a dict), not both")
    found = tuple(lint_filter(filters))
    for warning in found:
        warn(warning, FilterWarning)
    return dict(filters), found


def _as_expr(where: Where, client_side: bool) -> Expr | None:
    if where is None or isinstance(where, Expr):
        return where
    if isinstance(where, str):
        return parse_expression(where, client_side=client_side)
    raise FilterError(
        f"`where` wants an expression such as wb.summary['acc'] > 0.9, or its text, not {where!r}; "
        "combine expressions with & | ~"
    )


def _as_order(order: OrderLike, client_side: bool) -> Order | None:
    if order is None or isinstance(order, Order):
        return order
    if isinstance(order, Field):
        return +order
    if isinstance(order, str):
        return parse_order(order, client_side=client_side)
    raise FilterError(f"`order` wants a field such as -wb.summary['acc'], or its text, not {order!r}")


def _as_select(select: Select) -> tuple[Field, ...] | Literal["*"]:
    if isinstance(select, (str, Field)):
        if isinstance(select, str) and select == "*":
            return "*"
        raise FilterError(f"`select` is a list of fields, or '*': write [{str(select)!r}]")
    return tuple(_as_field(selected) for selected in select)


def _as_field(selected: Field | str) -> Field:
    found = parse_field(selected) if isinstance(selected, str) else selected
    if isinstance(found, Field) and found.path.section != "step":
        return found
    if isinstance(found, Field):
        raise FilterError(f"{found}: runs hold no steps, ask client.history(runs, keys=[...]) for them")
    raise FilterError(f"`select` wants fields such as wb.summary['acc'], or their text, not {selected!r}")
