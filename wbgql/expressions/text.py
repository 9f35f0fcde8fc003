"""Expressions as text: `state == "finished" and summary["val/acc"] > 0.9`. No I/O.

The text is parsed with `ast` and walked over a short list of node types; nothing is evaluated.
"""

from __future__ import annotations

import ast
import difflib
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt, ne
from typing import Any, TypeAlias

from wbgql.errors import FilterError
from wbgql.expressions.fields import ClientField, Field, JsonField, Order, TagsField
from wbgql.expressions.nodes import And, Expr, Or, RelativeTime, ago, join
from wbgql.expressions.roots import config, run_field, step, summary

MAX_LENGTH = 10_000
_MAX_NESTING = 100

_Literal: TypeAlias = str | int | float | bool | RelativeTime | list["_Literal"] | None

_AGGREGATES = frozenset({"min", "max", "mean", "first", "last"})
_METHODS = {
    **dict.fromkeys(("exists", "missing", "is_nan"), 0),
    **dict.fromkeys(("in_", "not_in", "is_not", "contains", "matches"), 1),
    **dict.fromkeys(("has", "has_any", "has_all", "has_none"), 1),
    "between": 2,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Expr]] = {
    ast.Eq: eq,
    ast.NotEq: ne,
    ast.Gt: gt,
    ast.GtE: ge,
    ast.Lt: lt,
    ast.LtE: le,
}
_FOREIGN_NAMES = {
    "true": "True",
    "false": "False",
    "null": "None",
    "nan": ".is_nan()",
    "NaN": ".is_nan()",
    "inf": '"Infinity"',
    "Infinity": '"Infinity"',
}
_EXAMPLES = {
    "run": "run.state",
    "summary": 'summary["loss"]',
    "config": 'config["lr"]',
    "step": 'step["loss"]',
}
# What people bring from other languages, in the order in which it is looked for.
_SLIPS = (
    (re.compile(r"ago\(\s*[0-9]+\s*[smhdw]\s*\)"), 'write ago("7d")'),
    (re.compile(r"&&"), "write and"),
    (re.compile(r"\|\|"), "write or"),
    (re.compile(r"===?=+"), "write =="),
    (re.compile(r"=[<>]"), "write >= or <="),
    (re.compile(r"<>"), "write !="),
    (re.compile(r"=~"), "write .matches(...)"),
    (re.compile(r"(?<![=!<>:])=(?!=)"), "write == to compare"),
    (re.compile(r"!(?!=)"), "write not"),
)
# What people write for a metric without its quotes: val/acc, metrics/mAP_0.5, val-loss.
_BARE_KEY = re.compile(r"[A-Za-z_][\w.]*(?:[/-][\w.]+)+")
_BARE_KEY_WITH_SLASH = re.compile(r"(?:^|[\s(,])(?P<sign>[+-]?)(?P<name>[A-Za-z_][\w.]*(?:/[\w.-]+)+)")
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")


def parse_expression(text: str, *, client_side: bool = False) -> Expr:
    """Read an expression from text; the reverse of `str(expr)`.

    With `client_side`, keys with a dot and values that are lists may be compared; see
    `split_filter` for who then decides what.

    Raises:
        FilterError: with `text` and `column`, and what to write.
    """
    reader = _Reader.of(text, client_side=client_side)
    return reader.expression(reader.tree, 0)


def parse_field(text: str) -> Field:
    """Read one field: `created_at`, `run.state`, `summary["val/acc"]`.

    Raises:
        FilterError: with `text` and `column`, and what to write.
    """
    reader = _Reader.of(text)
    return reader.field(reader.tree)


def parse_order(text: str, *, client_side: bool = False) -> Order:
    """Read a sort order: `-summary["val/acc"]` is descending, `created_at` ascending.

    With `client_side`, a key with a dot may be sorted by, on the client.

    Raises:
        FilterError: with `text` and `column`, and what to write.
    """
    reader = _Reader.of(text, client_side=client_side)
    tree = reader.tree
    signed = isinstance(tree, ast.UnaryOp) and isinstance(tree.op, (ast.USub, ast.UAdd))
    field = reader.field(tree.operand if signed and isinstance(tree, ast.UnaryOp) else tree)
    descending = isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub)
    with reader.located(tree):
        return -field if descending else +field


@dataclass(frozen=True)
class _Reader:
    text: str
    tree: ast.expr
    client_side: bool = False

    @classmethod
    def of(cls, text: str, *, client_side: bool = False) -> _Reader:
        if not isinstance(text, str):
            raise FilterError(f"{text!r}: an expression is text")
        if len(text) > MAX_LENGTH:
            raise FilterError(f"{len(text)} characters: an expression may have {MAX_LENGTH}, use in [...]")
        if re.search(r"[\r\n]", text.strip()) and re.search("#|\"\"\"|'''", text):
            # Lines are joined below, so that a comment would swallow those after it.
            raise FilterError("several lines with # or triple quotes: leave these out, or write one line")
        line = re.sub(r"[\r\n]", " ", text).strip()
        if not line:
            raise FilterError('the expression is empty: write one, as in state == "finished"')
        return cls(line, _parse(line), client_side)

    def error(self, node: ast.AST, message: str) -> FilterError:
        return FilterError(message, text=self.text, column=_column(self.text, node))

    @contextmanager
    def located(self, node: ast.AST) -> Iterator[None]:
        """Give errors of the fields the place in the text."""
        try:
            yield
        except FilterError as error:
            if error.text is not None:
                raise
            raise FilterError(str(error), text=self.text, column=_column(self.text, node)) from error

    def expression(self, node: ast.expr, level: int) -> Expr:
        if level > _MAX_NESTING:
            raise self.error(node, f"nested deeper than {_MAX_NESTING} levels: use in [...], or flatten it")
        with self.located(node):
            match node:
                case ast.BoolOp(op=ast.And() | ast.Or() as op, values=values):
                    return self._joined(And if isinstance(op, ast.And) else Or, values, level)
                case ast.BinOp(op=ast.BitAnd() | ast.BitOr() as op):
                    return self._joined(And if isinstance(op, ast.BitAnd) else Or, _chain(node), level)
                case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
                    return ~self.expression(operand, level + 1)
                case ast.Compare():
                    return self._comparison(node)
                case ast.Call():
                    return self._call(node)
                case _:
                    raise self._no_condition(node)

    def _joined(self, kind: type[And] | type[Or], nodes: list[ast.expr], level: int) -> Expr:
        return join(kind, [self.expression(node, level + 1) for node in nodes])

    def _no_condition(self, node: ast.expr) -> FilterError:
        if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
            return self.error(
                node, f"{self.field(node)} alone is not a condition: compare it, as in > 0.9 or != None"
            )
        return self.error(node, "not a condition: write comparisons of fields, joined by and, or, not")

    def _comparison(self, node: ast.Compare) -> Expr:
        sides = [node.left, *node.comparators]
        pairs = zip(sides, node.ops, sides[1:], strict=False)
        return join(And, [self._pair(*pair) for pair in pairs])

    def _pair(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Expr:
        if isinstance(op, (ast.In, ast.NotIn)):
            return self._membership(left, right, negated=isinstance(op, ast.NotIn))
        if isinstance(op, (ast.Is, ast.IsNot)):
            return self._identity(left, right, negated=isinstance(op, ast.IsNot))
        if _is_literal(left) and _is_literal(right):
            raise self.error(left, "neither side is a field: write a field on one side")
        compare = _COMPARISONS[type(op)]
        if _is_literal(left):
            with self.located(right):
                return compare(self._operand(left), self.field(right))
        with self.located(left):
            return compare(self.field(left), self._operand(right))

    def _identity(self, left: ast.expr, right: ast.expr, *, negated: bool) -> Expr:
        if self._operand(right) is not None:
            raise self.error(right, "is compares with None only: write == or !=")
        field = self.field(left)
        return field.__ne__(None) if negated else field.__eq__(None)

    def _membership(self, left: ast.expr, right: ast.expr, *, negated: bool) -> Expr:
        if _is_literal(left):
            found = self._tagged(left, right)
            return ~found if negated else found
        values = self._operand(right)
        if not isinstance(values, list):
            raise self.error(right, "in needs a list: write [a, b]")
        with self.located(right):
            return self.field(left).not_in(values) if negated else self.field(left).in_(values)

    def _tagged(self, left: ast.expr, right: ast.expr) -> Expr:
        field, tag = self.field(right), self._operand(left)
        if isinstance(field, ClientField):
            with self.located(left):
                return field.has(tag)
        if not isinstance(field, TagsField):
            raise self.error(
                right,
                f"{field}: the server cannot look into lists, write {field}.contains(text) or"
                f" {field} in [...]; the client can, with client_side=True in the call",
            )
        if not isinstance(tag, str):
            raise self.error(left, f"{tag!r} is not a tag: tags are text")
        with self.located(left):
            return field.has(tag)

    def _call(self, node: ast.Call) -> Expr:
        if not isinstance(node.func, ast.Attribute) or node.keywords:
            raise self.error(
                node, 'no such function: write field.method(...), as in display_name.contains("base")'
            )
        field = self.field(node.func.value)
        name = node.func.attr
        arity = _METHODS.get(name)
        if arity is None:
            near = difflib.get_close_matches(name, _METHODS, n=1)
            hint = f"did you mean {near[0]}" if near else f"there are {', '.join(sorted(_METHODS))}"
            raise self.error(node.func, f"no method {name!r}: {hint}")
        if len(node.args) != arity:
            raise self.error(node, f".{name}() got {len(node.args)} arguments: it takes {arity}")
        with self.located(node):
            found: Expr = getattr(field, name)(*(self._operand(argument) for argument in node.args))
        return found

    def field(self, node: ast.expr, level: int = 0) -> Field:
        """Return the field that `node` names."""
        if level > _MAX_NESTING:
            raise self.error(node, f"nested deeper than {_MAX_NESTING} levels")
        with self.located(node):
            match node:
                case ast.Name(id="summary" | "config" | "run" | "step" as name):
                    raise self.error(
                        node,
                        f"{name} names no field: write {_EXAMPLES[name]}",
                    )
                case ast.Name(id=name):
                    return self._named(node, name)
                case ast.Attribute(value=ast.Name(id="run"), attr=name):
                    return run_field(name)
                case ast.Attribute(
                    value=ast.Name(id="summary" | "config" | "summary_metrics" as root), attr=name
                ):
                    section = root.removesuffix("_metrics")
                    raise self.error(node, f'{root}.{name}: write {section}["{name}"]')
                case ast.Attribute(value=value, attr=name) if name in _AGGREGATES:
                    return self._aggregate(node, self.field(value, level + 1), name)
                case ast.Subscript(value=value, slice=ast.Constant(value=str() as key)):
                    return self._item(node, value, key, level)
                case _:
                    raise self._no_field(node)

    def _named(self, node: ast.Name, name: str) -> Field:
        if name in _FOREIGN_NAMES:
            raise self.error(node, f"{name}: write {_FOREIGN_NAMES[name]}")
        return run_field(name)

    def _aggregate(self, node: ast.expr, field: Field, name: str) -> Field:
        if not isinstance(field, JsonField):
            raise self.error(node, f"{field} has no .{name}: only summary values have")
        found: Field = getattr(field, name)
        return found

    def _item(self, node: ast.expr, value: ast.expr, key: str, level: int) -> Field:
        match value:
            case ast.Name(id="summary" | "summary_metrics"):
                return summary(key, client_side=self.client_side)
            case ast.Name(id="config"):
                return config(key, client_side=self.client_side)
            case ast.Name(id="step"):
                return step[key]
        field = self.field(value, level + 1)
        if not isinstance(field, JsonField):
            raise self.error(node, f"{field} has no keys: only summary and config have")
        return field[key]

    def _no_field(self, node: ast.expr) -> FilterError:
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitAnd, ast.BitOr)):
            return self.error(
                node, "& and | bind tighter than comparisons: write (a > 1) & (b < 2), or and, or"
            )
        if isinstance(node, ast.BinOp):
            return self.error(node, self._no_calculation(node))
        if isinstance(node, ast.Subscript):
            return self.error(node, 'a key is text in quotes: write summary["loss"]')
        if isinstance(node, ast.Attribute):
            near = difflib.get_close_matches(node.attr, sorted(_AGGREGATES), n=1)
            hint = f"did you mean .{near[0]}; " if near else ""
            return self.error(
                node, f".{node.attr}: no such field, {hint}a key inside a value is written in brackets"
            )
        return self.error(node, 'not a field: write state, created_at, summary["key"], config["key"], ...')

    def _no_calculation(self, node: ast.BinOp) -> str:
        """Say what to write for `val/acc`, which reads as a division."""
        name = ast.get_source_segment(self.text, node) or ""
        sign, name = name[: len(name) - len(name.lstrip("+-"))], name.lstrip("+-")
        if _BARE_KEY.fullmatch(name):
            return f"{name} is no calculation here: a key is text in quotes, write {_in_quotes(sign, name)}"
        return "the server does not calculate: write a field and a literal value"

    def _operand(self, node: ast.expr) -> _Literal:
        match node:
            case ast.Constant(value=str() | int() | float() | None as value):
                return value
            case ast.UnaryOp(
                op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=int() | float() as value)
            ):
                return -value if isinstance(sign, ast.USub) else value
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [self._member(item) for item in items]
            case ast.Call(func=ast.Name(id="ago"), args=[ast.Constant(value=str() as span)], keywords=[]):
                with self.located(node):
                    return ago(span)
            case ast.Call(func=ast.Name(id="ago")):
                raise self.error(node, 'write ago("7d")')
            case ast.Name(id=name) if name in _FOREIGN_NAMES:
                raise self.error(node, f"{name}: write {_FOREIGN_NAMES[name]}")
            case ast.Name(id=name):
                raise self.error(node, f'{name} is not a value: put text in quotes, "{name}"')
            case ast.Subscript() | ast.Attribute():
                raise self.error(node, "a field can only be compared with a value, not with a field")
            case ast.BinOp(op=ast.BitAnd() | ast.BitOr()):
                raise self._no_field(node)
            case _:
                raise self.error(
                    node, "not a value: write a number, text in quotes, True, False, None, a list or ago(...)"
                )

    def _member(self, node: ast.expr) -> _Literal:
        if isinstance(node, (ast.List, ast.Tuple)):
            raise self.error(node, "the server cannot compare lists: write a flat list of values")
        return self._operand(node)


def _parse(line: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            # "\d" in a pattern is fine here; Python would warn about the escape.
            warnings.simplefilter("ignore")
            return ast.parse(line, mode="eval").body
    except SyntaxError as error:
        message, column = _diagnosis(line, error)
        raise FilterError(message, text=line, column=column) from error
    except (RecursionError, MemoryError) as error:
        raise FilterError("the expression is nested too deeply: use in [...], or flatten it") from error
    except ValueError as error:
        raise FilterError(f"the expression holds characters that cannot be read: {error}") from error


def _diagnosis(line: str, error: SyntaxError) -> tuple[str, int]:
    bare = _STRING.sub(lambda found: " " * len(found[0]), line)
    for slip, advice in _SLIPS:
        found = slip.search(bare)
        if found is not None:
            return f"{found[0]!r} is not understood here: {advice}", found.start()
    found = _BARE_KEY_WITH_SLASH.search(bare)
    if found is not None:
        sign, name = found["sign"], found["name"]
        return f"a key is text in quotes: write {_in_quotes(sign, name)}", found.start("sign")
    # Without an offset, the text ended too early.
    column = min(error.offset - 1, len(line)) if error.offset else len(line)
    return f"cannot read the expression: {error.msg}", column


def _in_quotes(sign: str, name: str) -> str:
    return f'{sign}summary["{name}"] for a metric, {sign}config["{name}"] for a setting'


def _column(line: str, node: ast.AST) -> int:
    # `ast` counts bytes of UTF-8, a caret counts characters.
    offset = getattr(node, "col_offset", 0)
    return len(line.encode()[:offset].decode(errors="ignore"))


def _chain(node: ast.BinOp) -> list[ast.expr]:
    """Lay a | b | c flat, which `ast` nests to the left once per term."""
    terms: list[ast.expr] = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp) and type(left.op) is type(node.op):
        terms.append(left.right)
        left = left.left
    return [left, *reversed(terms)]


def _is_literal(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, (ast.USub, ast.UAdd))
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name)
    return isinstance(node, (ast.Constant, ast.List, ast.Tuple)) or (
        isinstance(node, ast.Name) and node.id in _FOREIGN_NAMES
    )
