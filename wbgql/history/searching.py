"""Conditions on rows of a history, compared on this side: `step["loss"] > 10`. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from wbgql.errors import FilterError
from wbgql.expressions import Expr, FieldPath, fields_of, matches, parse_expression
from wbgql.history.rows import ABSENT, Row, check_keys, cut, dig

# Rows hold no instants to compare with now; any instant will do.
_NOW = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RowFilter:
    """A condition on rows, or None for every row, and the keys it looks at."""

    expr: Expr | None = None
    _paths: tuple[FieldPath, ...] = field(init=False)

    def __post_init__(self) -> None:
        paths = fields_of(self.expr) if self.expr is not None else ()
        object.__setattr__(self, "_paths", tuple(sorted(paths, key=str)))
        wrong = [path for path in self._paths if path.section != "step"]
        if wrong:
            raise FilterError(
                f'{wrong[0]}: rows of a history hold steps alone, write step["key"] here and select runs'
                " with client.runs(where=...)"
            )

    @classmethod
    def of(cls, condition: Expr | str | None) -> RowFilter:
        """Read a condition, or its text.

        Raises:
            FilterError: it cannot be read, or asks about anything but steps.
        """
        expr = parse_expression(condition) if isinstance(condition, str) else condition
        if expr is not None and not isinstance(expr, Expr):
            raise FilterError(f'a condition on rows is wb.step["loss"] > 10 or its text, not {expr!r}')
        return cls(expr)

    def and_also(self, other: RowFilter) -> RowFilter:
        """Both conditions."""
        if self.expr is None or other.expr is None:
            return other if self.expr is None else self
        return RowFilter(self.expr & other.expr)

    def widen(self, keys: Sequence[str] | None) -> tuple[str, ...] | None:
        """The keys that must be read for rows cut to `keys` to be compared."""
        if keys is None:
            return None
        return check_keys((*keys, *(".".join(path.parts) for path in self._paths)))

    def apply(self, rows: list[Row], keys: Sequence[str] | None) -> list[Row]:
        """The rows for which the condition holds, cut to `keys`."""
        if self.expr is None:
            return rows
        return [row if keys is None else cut(row, keys) for row in rows if self._holds(row)]

    def _holds(self, row: Row) -> bool:
        step: Row = {}
        for path in self._paths:
            value = dig(row, ".".join(path.parts))
            if value is not ABSENT:
                _put(step, path.parts, value)
        return matches(self.expr, {"step": step}, now=_NOW)


def _put(values: Row, parts: Sequence[str], value: object) -> None:
    *outer, last = parts
    for part in outer:
        inner = values.setdefault(part, {})
        if not isinstance(inner, dict):
            return  # asked for itself too, and no object
        values = inner
    values.setdefault(last, value)
