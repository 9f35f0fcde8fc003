"""The text in the filter box, as the filter and order that the server's own compiler takes. No I/O.

The only part of the server that uses the client's code: what the text means is decided there, what the
filter selects is decided here, by `wbgql.server.filters.compile`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from wbgql.errors import UsageError
from wbgql.expressions import (
    FieldPath,
    compile_filter,
    compile_order,
    parse_expression,
    parse_field,
    parse_order,
)


@dataclass(frozen=True)
class Column:
    """A value shown in the table of runs. `section` is summary, config or run; `parts` lead to it."""

    section: str
    parts: tuple[str, ...]

    @property
    def label(self) -> str:
        """What stands above the column."""
        return ".".join(self.parts)

    @property
    def text(self) -> str:
        """The field as the filter box takes it: `summary["val/acc"]`."""
        if self.section == "run":
            return f"run.{self.parts[0]}"
        return self.section + "".join(f"[{json.dumps(part, ensure_ascii=False)}]" for part in self.parts)

    @property
    def sorts(self) -> bool:
        """Whether the server can order by it: a dot in a name reads as nesting there."""
        return self.section != "run" and not any("." in part for part in self.parts)


def to_filters(text: str, now: datetime) -> str | None:
    """The filter JSON for an expression as text; None where the box is empty.

    Raises:
        FilterError: with what to write instead.
    """
    if not text.strip():
        return None
    return json.dumps(compile_filter(parse_expression(text), now=now))


def to_order(text: str) -> str | None:
    """The order string for a sort order as text; None where there is none.

    Raises:
        FilterError: with what to write instead.
    """
    return compile_order(parse_order(text)) if text.strip() else None


def to_column(text: str) -> Column:
    """The column for a field as text.

    Raises:
        FilterError: not a field.
        UsageError: a field that is not kept with the run.
    """
    path: FieldPath = parse_field(text).path
    if path.section == "step":
        raise UsageError(f"{text}: a table of runs has no steps, write summary[...] for the last value")
    return Column(path.section, path.parts)
