"""Runs that the server gave, held once more to the same expression: what may be handed to a deletion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from wbgql.cautions import warn
from wbgql.errors import FilterWarning
from wbgql.expressions import fields_of, matches
from wbgql.filters import make_matcher
from wbgql.runs.nodes import RunPage
from wbgql.runs.projections import EVERYTHING, Projection
from wbgql.runs.questions import Question
from wbgql.runs.run import Run

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

    With `on_other`, that is told of each of these instead.

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
