"""Whether a server took a filter and an order into account, as far as what it sent can show. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from wbgql.cautions import warn
from wbgql.errors import FilterError, FilterWarning, NotServed
from wbgql.expressions import Expr, Field, FieldPath, conjuncts, fields_of, matches
from wbgql.filters import make_matcher
from wbgql.paths import ProjectPath
from wbgql.runs.keys import path_of_raw
from wbgql.runs.nodes import RunNode, RunPage
from wbgql.runs.projections import EVERYTHING, Projection
from wbgql.runs.questions import Question
from wbgql.runs.run import Run
from wbgql.scalars import format_datetime, parse_datetime

# Runs that the server gave, held once more to the same expression: what may be handed to a deletion.

_NAMED_AT_MOST = 5

Matches = Callable[[Mapping[str, Any]], bool]


def with_evidence(question: Question) -> Question:
    """The same question, bringing along what its filter looks at (all of a run for a raw filter)."""
    if question.where is not None:
        paths = fields_of(question.where)
        extra = Projection.of(sorted(paths, key=str)).widened(paths)
        return replace(question, extra=extra, rechecked=True)
    return replace(question, extra=EVERYTHING, rechecked=True) if question.filters else question


def matching_runs(
    question: Question, pages: Iterable[RunPage], on_other: Callable[[Run], object] | None = None
) -> Iterator[Run]:
    """Yield the runs for which the filter holds here too; warn at the end of those it does not hold for.

    With `on_other`, that is called with each of these instead.

    A server that ignores a filter, or reads a part of it in another way, gives runs that were not meant.

    Raises:
        FilterError: a raw filter holds an operator that cannot be evaluated here.
    """
    holds = _evaluator(question)
    others: list[str] = []
    for page in pages:
        for node in page:
            document = Run(node, page.project, question.extra).to_document()
            if holds(document):
                yield Run(node, page.project, question.shown)
            elif on_other is not None:
                on_other(Run(node, page.project, question.shown))
            else:
                others.append(str(Run(node, page.project).path))
    if others:
        names = ", ".join(others[:_NAMED_AT_MOST]) + (", ..." if len(others) > _NAMED_AT_MOST else "")
        message = f"{len(others)} runs that the server gave do not match here and are left out: {names}"
        warn(FilterWarning(message))


def _evaluator(question: Question) -> Matches:
    if question.where is not None:
        return lambda document: matches(question.where, document, now=question.now)
    return make_matcher(question.filters, config_wrapped=False)


Document = Mapping[str, Any]

# So many runs of a page are looked at, spread over it.
_LOOKED_AT = 20
# Out of order by chance, by a value that moved or a row that came late: up to one pair in this number.
_PAIRS_FOR_A_SLIP = 4
_VALUES_FOR_AN_ORDER = 4
_INSTANTS = ("createdAt", "heartbeatAt", "updatedAt")
_MOMENT = timedelta(microseconds=999_999)


class Evidence:
    """Holds pages to the filter and the order of a question, by what was sent along anyway.

    A term of the filter is looked at where the attributes and keys in it travel. Text searches are not:
    whether a server minds case is not documented. An attribute that is null says nothing, as some are
    hidden from some keys.
    """

    def __init__(self, question: Question) -> None:
        self._projection = question.sent
        self._order = None if question.sorts_here else question.order
        self._tests = [] if question.rechecked else list(_tests(question))

    def unwanted(self, nodes: Sequence[RunNode], project: ProjectPath) -> list[RunNode]:
        """Return the runs that the filter does not ask for."""
        if not self._tests:
            return []
        found = []
        for node in nodes:
            document = Run(node, project, self._projection).to_document()
            if not all(holds(document) for holds in self._tests):
                found.append(node)
        return found

    def is_out_of_order(self, nodes: Sequence[RunNode], project: ProjectPath) -> bool:
        """Whether the runs do not come in the order asked for; numbers and instants are looked at."""
        if self._order is None or not _travels(self._order.path, self._projection):
            return False
        field = Field(self._order.path)
        try:
            values = [_sortable(Run(node, project, self._projection)[field]) for node in _spread(nodes)]
        except NotServed:
            return False
        pairs = list(pairwise(value for value in values if value is not None))
        if self._order.descending:
            pairs = [(second, first) for first, second in pairs]
        return sum(first > second for first, second in pairs) * _PAIRS_FOR_A_SLIP > len(pairs)

    def shows_order(self, nodes: Sequence[RunNode], project: ProjectPath) -> bool:
        """Whether runs that come in order could hardly do so by chance.

        They could if few values differ, or if the runs also stand in the order of their creation, which a
        server that ignores orders gives.
        """
        if self._order is None or not _travels(self._order.path, self._projection):
            return False
        field, looked_at = Field(self._order.path), _spread(nodes)
        try:
            values = {_sortable(Run(node, project, self._projection)[field]) for node in looked_at} - {None}
        except NotServed:
            return False
        if field.path.section == "run" and field.path.key == "createdAt":
            return len(values) > 1
        created = [node.created_at or "" for node in looked_at]
        return len(values) >= _VALUES_FOR_AN_ORDER and created not in (sorted(created), sorted(created)[::-1])

    def is_first_both_ways(
        self, nodes: Sequence[RunNode], others: Sequence[RunNode], project: ProjectPath
    ) -> bool:
        """Whether one run comes first in both directions although another run has another value."""
        if self._order is None or not nodes or not others or nodes[0].id != others[0].id:
            return False
        field = Field(self._order.path)
        try:
            values = [Run(node, project, self._projection)[field] for node in (*nodes, *others)]
        except NotServed:
            return False
        return values[0] is not None and any(value not in (None, values[0]) for value in values)


def _spread(nodes: Sequence[RunNode]) -> Sequence[RunNode]:
    return nodes[:: max(1, len(nodes) // _LOOKED_AT)]


def _sortable(value: Any) -> float | None:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) else None  # stored as text, and sorted so


def _tests(question: Question) -> Iterator[Callable[[Document], bool]]:
    if question.where is None:
        yield from _raw_tests(question.filters, question.sent)
        return
    for term in conjuncts(question.where):
        conditions = list(term.conditions())
        if any(condition.refusal or condition.searches_text for condition in conditions):
            continue
        if all(_travels(path, question.sent) for path in fields_of(term)):
            yield _holds(term, question.now)


def _holds(term: Expr, now: datetime) -> Callable[[Document], bool]:
    attributes = [path.key for path in fields_of(term) if path.section == "run"]
    return _lenient(attributes, lambda document: matches(term, document, now=now))


def _lenient(attributes: Sequence[str], holds: Callable[[Document], bool]) -> Callable[[Document], bool]:
    """The same, but an absent attribute says nothing, and an instant may lack its fraction of a second."""

    def test(document: Document) -> bool:
        try:
            absent = not all(key in document for key in attributes)
        except NotServed:
            return True
        return absent or holds(document) or holds(_later(document))

    return test


def _later(document: Document) -> Document:
    """The run as it is if its instants were cut off to the second."""
    later = {}
    for key in _INSTANTS:
        with suppress(ValueError):  # what is no instant stays as it is
            if at := document.get(key):
                later[key] = format_datetime(parse_datetime(at) + _MOMENT)
    return {**document, **later}


def _raw_tests(filters: Mapping[str, Any], sent: Projection) -> Iterator[Callable[[Document], bool]]:
    """Tests of the keys that stand at the outermost level of a raw filter, or in its `$and`."""
    for key, test in filters.items():
        if key == "$and":
            for member in test:
                yield from _raw_tests(member, sent)
        elif _plain_test(test):
            yield from _raw_test(key, test, sent)


def _plain_test(test: Any) -> bool:
    """A comparison that servers agree on: of something with a value, and no search of text."""
    if not isinstance(test, Mapping):
        return test is not None
    return not {"$regex", "$contains", "$exists"} & test.keys() and None not in test.values()


def _raw_test(key: str, test: Any, sent: Projection) -> Iterator[Callable[[Document], bool]]:
    path = path_of_raw(key)
    if path is None or not _travels(path, sent):
        return
    try:
        holds = make_matcher({key: test}, config_wrapped=False)
    except FilterError:
        return
    yield _lenient([path.key] if path.section == "run" else [], holds)


def _travels(path: FieldPath, sent: Projection) -> bool:
    if path.parts == ("duration_s",):
        return False  # compared with fractions, shown without
    if path.section == "run":
        wanted = Projection.of([path])
        return (sent | wanted) == sent
    keys = sent.config if path.section == "config" else sent.summary
    return path.dotted is None and (keys is None or path.parts[0] in keys)
