"""The compiled filter, the evaluator and the text agree on any expression and any run."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from wbgql.expressions import (
    Expr,
    ago,
    compile_filter,
    config,
    freeze,
    matches,
    parse_expression,
    run,
    summary,
)
from wbgql.filters import filter_matches, lint_filter

NOW = datetime(2026, 1, 31, 12, 0, 0, 654321, tzinfo=UTC)


def compiled(expr: Expr | None) -> dict[str, object]:
    return compile_filter(expr, now=NOW)


KEYS = st.sampled_from(["x"] * 12 + ["y"] * 4 + ["val/acc", "a b", "value", "é", "0", "1", "$k", '"'])
NUMBERS = st.sampled_from([0, 1, 2, -1, 0.5, 1.0, 1e300, -0.0])
TEXTS = st.sampled_from(["", "a", "ab", "A", "1", "NaN", "Infinity", "\n", "é", "é\u2028'\"\\"])
SCALARS = NUMBERS | TEXTS | st.booleans()
INSTANTS = st.sampled_from(
    [NOW - timedelta(days=n, microseconds=m) for n in (0, 1, 7, 400) for m in (0, 654321)]
)
STATES = st.sampled_from(["finished", "running", "crashed"])
TAGS = st.sampled_from(["a", "b", "c"])


def _ordered(fields: Any, values: Any) -> st.SearchStrategy[Expr]:
    operators = st.sampled_from(
        [lambda f, v: f > v, lambda f, v: f >= v, lambda f, v: f < v, lambda f, v: f <= v]
    )
    return st.builds(lambda op, f, v: op(f, v), operators, fields, values)


def _equalities(fields: Any, values: Any) -> st.SearchStrategy[Expr]:
    one = st.builds(lambda f, v, same: f == v if same else f != v, fields, values, st.booleans())
    many = st.builds(
        lambda f, vs, same: f.in_(vs) if same else f.not_in(vs),
        fields,
        st.lists(values, max_size=3),
        st.booleans(),
    )
    null = st.builds(lambda f, same: f == None if same else f != None, fields, st.booleans())  # noqa: E711
    return one | many | null


JSON_FIELDS = st.builds(
    lambda root, keys: [field := root[keys[0]], *(field := field[key] for key in keys[1:])][-1],
    st.sampled_from([summary, config]),
    st.lists(KEYS, min_size=1, max_size=1) | st.lists(KEYS, min_size=1, max_size=3),
)
TEXT_FIELDS = st.sampled_from([run.id, run.host, run.display_name, run.group, run.sweep])
DATES = st.sampled_from([run.created_at, run.heartbeat_at])
PATTERNS = st.sampled_from(["a", "^a", "b$", ".", "[A-Z]", "^$"])
LEAVES = st.one_of(
    _ordered(JSON_FIELDS, NUMBERS | TEXTS),
    _equalities(JSON_FIELDS, SCALARS),
    st.builds(lambda f, there: f.exists() if there else f.missing(), JSON_FIELDS, st.booleans()),
    st.builds(lambda f: f.is_nan(), JSON_FIELDS),
    _ordered(TEXT_FIELDS, TEXTS),
    _equalities(TEXT_FIELDS, TEXTS),
    st.builds(lambda f, t: f.contains(t), TEXT_FIELDS | JSON_FIELDS, TEXTS.filter(bool)),
    st.builds(lambda f, p: f.matches(p), TEXT_FIELDS | JSON_FIELDS, PATTERNS),
    _ordered(DATES, INSTANTS | st.sampled_from([ago("1d"), ago("12h"), ago("57w")])),
    _equalities(DATES, INSTANTS),
    _ordered(st.just(run.duration_s), NUMBERS),
    _equalities(st.just(run.state), STATES),
    st.builds(run.tags.has, TAGS),
    st.builds(run.tags.has_any, st.lists(TAGS, max_size=3)),
    st.builds(run.tags.has_all, st.lists(TAGS, min_size=1, max_size=3)),
    st.builds(run.tags.has_none, st.lists(TAGS, min_size=1, max_size=3)),
    st.builds(lambda same: run.tags == None if same else run.tags != None, st.booleans()),  # noqa: E711
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(lambda a, b: a & b, inner, inner)
        | st.builds(lambda a, b: a | b, inner, inner)
        | st.builds(lambda a: ~a, inner)
    ),
    max_leaves=6,
)

STORED = SCALARS | st.sampled_from([math.nan, math.inf, -math.inf])
VALUES = st.recursive(
    st.none() | STORED,
    lambda inner: st.dictionaries(KEYS, inner, max_size=3) | st.lists(STORED, max_size=3),
    max_leaves=4,
)
SECTIONS = st.builds(lambda x, rest: {**rest, "x": x}, VALUES, st.dictionaries(KEYS, VALUES, max_size=2))
SECTIONS |= st.dictionaries(KEYS, VALUES, max_size=3)
ISO = INSTANTS.map(lambda instant: instant.isoformat()) | INSTANTS.map(
    lambda instant: instant.replace(tzinfo=None).isoformat()
)
DOCUMENTS = st.fixed_dictionaries(
    {"name": TEXTS, "config": SECTIONS},
    optional={
        "summary_metrics": SECTIONS | st.none(),
        "displayName": st.none() | TEXTS,
        "host": st.none() | TEXTS,
        "group": st.none() | TEXTS,
        "state": st.none() | STATES,
        "tags": st.none() | st.lists(TAGS, max_size=3),
        "createdAt": ISO,
        "heartbeatAt": st.none() | ISO | st.just("not a date"),
        "duration": st.none() | NUMBERS,
    },
)


@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS, DOCUMENTS)
def test_the_compiled_filter_selects_what_the_expression_means(expr, document):
    assert filter_matches(compiled(expr), document, config_wrapped=False) is matches(expr, document, now=NOW)


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS, DOCUMENTS)
def test_negation_is_the_exact_complement(expr, document):
    assert filter_matches(compiled(~expr), document, config_wrapped=False) is not matches(
        expr, document, now=NOW
    )


def _kleene(filters: dict[str, Any], document: dict[str, Any]) -> bool | None:
    """Evaluate as SQL does: a comparison with null is neither true nor false."""
    return _conjunction([_kleene_term(key, test, document) for key, test in filters.items()])


def _kleene_term(key: str, test: Any, document: dict[str, Any]) -> bool | None:
    if key == "$and":
        return _conjunction([_kleene(member, document) for member in test])
    if key in ("$or", "$nor"):
        none_holds = _conjunction([_negation(_kleene(member, document)) for member in test])
        return none_holds if key == "$nor" else _negation(none_holds)
    null = filter_matches({key: None}, document, config_wrapped=False)
    tests = test.items() if isinstance(test, dict) else [("$eq", test)]
    return _conjunction(
        [
            None
            if null and operator != "$exists" and operand is not None
            else filter_matches({key: {operator: operand}}, document, config_wrapped=False)
            for operator, operand in tests
        ]
    )


def _conjunction(terms: list[bool | None]) -> bool | None:
    return False if False in terms else None if None in terms else True


def _negation(term: bool | None) -> bool | None:
    return None if term is None else not term


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS, DOCUMENTS)
def test_the_compiled_filter_means_the_same_under_sql_nulls(expr, document):
    assert (_kleene(compiled(expr), document) is True) is matches(expr, document, now=NOW)
    assert (_kleene(compiled(~expr), document) is True) is not matches(expr, document, now=NOW)


@settings(deadline=None)
@given(EXPRESSIONS)
def test_text_reads_back_as_the_same_expression(expr):
    assert parse_expression(str(expr)) == expr
    assert hash(parse_expression(str(expr))) == hash(expr)
    assert ~~expr == expr


@settings(deadline=None)
@given(EXPRESSIONS)
def test_lint_finds_nothing_to_mend_in_compiled_filters(expr):
    warnings = lint_filter(compiled(expr))

    assert [text for text in warnings if "null" in text or "empty list" in text] == []
    assert json.loads(json.dumps(compiled(expr), allow_nan=False)) == compiled(expr)


def _operators(value: object) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_operators, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    own = {key for key in value if key.startswith("$")}
    return own.union(*map(_operators, value.values()))


@settings(deadline=None)
@given(EXPRESSIONS)
def test_only_known_operators_are_sent(expr):
    known = "$and $or $nor $ne $gt $gte $lt $lte $in $nin $exists $regex $contains"

    assert _operators(compiled(expr)) <= set(known.split())


@settings(max_examples=200, deadline=None)
@given(EXPRESSIONS, DOCUMENTS, st.timedeltas(timedelta(0), timedelta(days=3000)))
def test_a_frozen_expression_means_later_what_it_means_now(expr, document, later):
    frozen = freeze(expr, NOW)

    assert "ago(" not in re.sub(r'"(?:[^"\\]|\\.)*"', "", str(frozen))
    assert parse_expression(str(frozen)) == frozen
    assert freeze(frozen, NOW + later) == frozen
    assert compile_filter(frozen, now=NOW + later) == compiled(expr)
    assert matches(frozen, document, now=NOW + later) is matches(expr, document, now=NOW)
