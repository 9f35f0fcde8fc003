"""The filter algebra: what users write for `where=` and `order=`, compiled, evaluated and as text. No I/O."""

from __future__ import annotations

from wbgql.expressions.compiling import compile_filter, compile_order, conjuncts, split_filter
from wbgql.expressions.evaluating import RunDocument, matches
from wbgql.expressions.fields import Field, Order, check_filterable
from wbgql.expressions.freezing import freeze
from wbgql.expressions.nodes import PRESENCE, RUN_KEYS, Expr, FieldPath, RelativeTime, ago, fields_of
from wbgql.expressions.operands import check_state
from wbgql.expressions.roots import config, run, step, summary
from wbgql.expressions.text import parse_expression, parse_field, parse_order

__all__ = [
    "summary",
    "config",
    "run",
    "step",
    "ago",
    "PRESENCE",
    "RUN_KEYS",
    "Expr",
    "Field",
    "FieldPath",
    "Order",
    "check_filterable",
    "RelativeTime",
    "RunDocument",
    "compile_filter",
    "compile_order",
    "check_state",
    "conjuncts",
    "split_filter",
    "freeze",
    "matches",
    "parse_expression",
    "parse_field",
    "parse_order",
    "fields_of",
]
