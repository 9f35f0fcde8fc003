"""Fixes an expression in time: each `ago()` becomes the instant it means. No I/O."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from wbgql.expressions.nodes import And, Condition, Expr, Not, Or, RelativeTime, Scalar


def freeze(expr: Expr, now: datetime) -> Expr:
    """Return the same expression with every `ago()` replaced by its instant, down to the second.

    It selects what `expr` selects at `now`, at any later time too; its text reads back as itself.

    Raises:
        FilterError: `now` has no time zone.
    """
    match expr:
        case Condition(operand=tuple() as operands):
            return replace(expr, operand=tuple(_instant(operand, now) for operand in operands))
        case Condition(operand=operand) if operand is not None and not isinstance(operand, tuple):
            return replace(expr, operand=_instant(operand, now))
        case Not(term=term):
            return Not(freeze(term, now))
        case And() | Or():
            return type(expr)(tuple(freeze(term, now) for term in expr.terms))
        case _:
            return expr


def _instant(operand: Scalar, now: datetime) -> Scalar:
    return operand.resolve(now) if isinstance(operand, RelativeTime) else operand
