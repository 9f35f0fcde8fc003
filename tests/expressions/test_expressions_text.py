"""Expressions as text: what is read, what is refused and where the caret stands."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wbgql.errors import FilterError
from wbgql.expressions import (
    Expr,
    FieldPath,
    Order,
    ago,
    compile_filter,
    config,
    parse_expression,
    parse_field,
    parse_order,
    run,
    summary,
)

NOW = datetime(2026, 1, 31, 12, 0, 0, 654321, tzinfo=UTC)


def compiled(expr: Expr | None) -> dict[str, object]:
    return compile_filter(expr, now=NOW)


@pytest.mark.parametrize(
    ("text", "expr"),
    [
        ('state == "finished"', run.state == "finished"),
        ('run.state == "finished"', run.state == "finished"),
        ('"finished" == state', run.state == "finished"),
        ('0.1 < config["lr"] <= 0.5', (config["lr"] > 0.1) & (config["lr"] <= 0.5)),
        (
            'summary["a"] > -1 and not config["b"]["c"] == None',
            (summary["a"] > -1) & ~(config["b"]["c"] == None),  # noqa: E711
        ),
        (
            '(state == "failed") | ~(host == "a") & (host != "b")',
            (run.state == "failed") | ~(run.host == "a") & (run.host != "b"),
        ),
        ('"keep" in tags', run.tags.has("keep")),
        ('"keep" not in tags', ~run.tags.has("keep")),
        ('state in ["failed", "crashed"]', run.state.in_(["failed", "crashed"])),
        ('state not in ("failed",)', run.state.not_in(["failed"])),
        ('created_at > ago("7d")', run.created_at > ago("7d")),
        ('created_at > "2026-01-01T00:00:00Z"', run.created_at > datetime(2026, 1, 1, tzinfo=UTC)),
        ('display_name.contains("a\\"b")', run.display_name.contains('a"b')),
        ('display_name.matches("\\d+")', run.display_name.matches(r"\d+")),
        ('summary["loss"].min.between(0, 1)', summary["loss"].min.between(0, 1)),
        (
            'summary["loss"].is_nan() or config["x"].missing()',
            summary["loss"].is_nan() | config["x"].missing(),
        ),
        ("group is None", run.group == None),  # noqa: E711
        ("group is not None", run.group != None),  # noqa: E711
        ('state == "failed"\n  and host == "a"\n', (run.state == "failed") & (run.host == "a")),
        ('tags.has_all(["a", "b"])', run.tags.has_all(["a", "b"])),
        ('config["x"].is_not(True)', ~(config["x"] == True)),  # noqa: E712
    ],
)
def test_parse_expression(text, expr):
    assert parse_expression(text) == expr


@pytest.mark.parametrize(
    ("text", "column", "advice"),
    [
        ('state = "x"', 6, "write =="),
        ('state == "x" && host == "y"', 13, "write and"),
        ('state == "x" || host == "y"', 13, "write or"),
        ('!(state == "x")', 0, "write not"),
        ('state <> "x"', 6, "write !="),
        ('(state == "failed"', 0, "never closed"),
        ('state == "failed")', 17, "unmatched"),
        ('state == "failed" and', 21, "cannot read"),
        ('host == "a" and stat == "x"', 16, "did you mean state"),
        ('host == "é" and loss > 1', 16, 'summary["loss"]'),
        ('host == "a" and state == "finishd"', 16, "'finished'"),
        ("state == finished", 9, '"finished"'),
        ("summary.loss > 1", 0, 'summary["loss"]'),
        ('sumary["loss"] > 1', 0, 'did you mean summary["key"]'),
        ('host == "a" and confg["lr"] > 1', 16, 'did you mean config["key"]'),
        ('summary["loss"].mim > 1', 0, "did you mean .min"),
        ('display_name.contain("x")', 0, "did you mean contains"),
        ("summary_metrics.loss > 1", 0, 'summary["loss"]'),
        ("config[lr] > 1", 0, "quotes"),
        ("config > 1", 0, 'config["lr"]'),
        ('summary["a"] > 1 & config["b"] < 2', 15, "(a > 1) & (b < 2)"),
        ('summary["a"] > 1 & config["b"] > 2 & config["c"] > 2', 15, "(a > 1) & (b < 2)"),
        ('summary["a"] > summary["b"]', 15, "not with a field"),
        ('summary["a"] > nan', 15, ".is_nan()"),
        ('summary["a"] == true', 16, "write True"),
        ('summary["a"] * 2 > 1', 0, "does not calculate"),
        ('"x" in display_name', 7, ".contains"),
        ('host in "abc"', 8, "write [a, b]"),
        ('host in [["a"]]', 9, "flat list"),
        ("5 in tags", 0, "tags are text"),
        ("host is 5", 8, "write =="),
        ("1 < 2", 0, "neither side"),
        ("state", 0, "alone is not a condition"),
        ("True", 0, "not a condition"),
        ("name == 'x'", 0, "run.display_name"),
        ('state.lower() == "x"', 0, "not a field"),
        ('state.lower("x")', 0, "no method 'lower'"),
        ('state.contains("x", "y")', 0, "it takes 1"),
        ('contains(state, "x")', 0, "no such function"),
        ('state.contains(x="y")', 0, "no such function"),
        ("__import__('os').system('x')", 0, "not a field"),
        ("created_at > ago(7)", 13, 'ago("7d")'),
        ('created_at > ago("7x")', 13, 'ago("7d")'),
        ('state["x"] == 1', 0, "has no keys"),
        ("state.min == 1", 0, "only summary values"),
        ('f"{host}" == host', 0, "not a field"),
        ('host == b"x"', 8, "not a value"),
        ("host == 1j", 8, "not a value"),
        ("[host == 1 for x in y]", 0, "not a condition"),
        ('(lambda: host == "a")()', 0, "no such function"),
    ],
)
def test_parse_expression_points_at_the_mistake(text, column, advice):
    with pytest.raises(FilterError) as caught:
        parse_expression(text)

    assert advice in str(caught.value)
    assert (caught.value.text, caught.value.column) == (text, column)
    assert str(caught.value).endswith("\n  " + " " * column + "^")


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "empty"),
        ("  \n ", "empty"),
        (" or ".join(['host == "a"'] * 1000), "characters"),
        ("(" * 3000, "nested|parentheses"),
        ("not " * 2000 + 'host == "a"', "nested"),
        ("~" * 5000 + '(host == "a")', "nested"),
        ("-" * 5000 + "1 == host", "nested|not a"),
        ("x[" * 150 + "]" * 150, "nested|read|key"),
        ("config" + '["a"]' * 1500 + " == 1", "nested"),
        ('host == "a\0"', "cannot be read|read"),
        ('host == "\ud800"', "cannot be read|Unicode"),
        ('host == "a" # not b\nand host == "b"', "several lines"),
        ("host == " + "9" * 5000, "read|64 bits"),
        (b"host", "is text"),
    ],
)
def test_hostile_text_is_refused(text, advice):
    with pytest.raises(FilterError, match=advice):
        parse_expression(text)


def test_long_flat_expressions_are_read():
    hosts = [f"h{i}" for i in range(400)]

    expr = parse_expression(" | ".join(f'(host == "{host}")' for host in hosts))

    assert compiled(expr) == {"$or": [{"host": host} for host in hosts]}


def test_parse_field_and_order():
    assert parse_field('summary["val/acc"]').path == FieldPath("summary", ("val/acc",))
    assert parse_field('config["a.b"]').path == FieldPath("config", ("a.b",))
    assert parse_field("run.id").path.key == "name"
    assert parse_order('-summary["val/acc"]') == -summary["val/acc"]
    assert parse_order("created_at") == Order(FieldPath("run", ("created_at",)), descending=False)
    assert str(parse_order("- config['lr']")) == '-config["lr"]'


@pytest.mark.parametrize("text", ["-state", "--created_at", "-createdAt", '-config["a.b"]', "", "1"])
def test_parse_order_points_at_mistakes(text):
    with pytest.raises(FilterError):
        parse_order(text)


PIECES = [
    "state",
    "summary",
    "config",
    '["a"]',
    "==",
    "=",
    "<",
    "in",
    "not",
    "and",
    "or",
    "&",
    "|",
    "~",
    "(",
    ")",
]
PIECES += [
    "[",
    "]",
    '"x"',
    "1",
    "-",
    ".",
    ",",
    "None",
    "tags",
    "ago",
    "run",
    ".min",
    ".in_",
    "#",
    "\n",
    "is",
    "if",
    "*",
]


@settings(deadline=None)
@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join))
@example("ª == 1")
@example("state == '\\N{dash}'")
def test_text_raises_nothing_but_filter_errors(text):
    for parse in (parse_expression, parse_field, parse_order):
        try:
            found = str(parse(text))
        except FilterError:
            continue
        assert str(parse(found)) == found
