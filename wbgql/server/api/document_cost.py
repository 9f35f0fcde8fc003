"""What a document would cost to validate and execute, counted before either. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

MAX_SELECTIONS = 10_000
"""Fields, spreads and inline fragments of a document, each fragment counted wherever it is spread."""
MAX_PAIRS = 100_000
"""Pairs of fields with one name in one place: validation compares each pair."""
MAX_DEPTH = 50


def check_cost(document: DocumentNode) -> None:
    """Count what the definitions of a document hold once their fragments are spread.

    Raises:
        GraphQLError: too many selections, too many fields of one name in one place, or nested too deeply.
    """
    fragments = {
        part.name.value: part for part in document.definitions if isinstance(part, FragmentDefinitionNode)
    }
    counter = _Counter(fragments)
    for part in document.definitions:
        if isinstance(part, (OperationDefinitionNode, FragmentDefinitionNode)):
            counter.count([part.selection_set], depth=1)


@dataclass
class _Counter:
    fragments: dict[str, FragmentDefinitionNode]
    selections: int = 0
    pairs: int = 0

    def count(self, sets: Sequence[SelectionSetNode], depth: int) -> None:
        """Count what is selected in one place, which several selection sets may name together."""
        if depth > MAX_DEPTH:
            raise GraphQLError(f"the document is nested more than {MAX_DEPTH} levels deep")
        places: dict[str, list[FieldNode]] = {}
        for one in sets:
            self._collect(one.selections, places, depth)
        for fields in places.values():
            self.pairs += len(fields) * (len(fields) - 1) // 2
            if self.pairs > MAX_PAIRS:
                raise GraphQLError("the document selects one field too often in one place")
            below = [field.selection_set for field in fields if field.selection_set is not None]
            if below:
                self.count(below, depth + 1)

    def _collect(
        self, selections: Iterable[SelectionNode], places: dict[str, list[FieldNode]], depth: int
    ) -> None:
        if depth > MAX_DEPTH:
            raise GraphQLError(f"the document is nested more than {MAX_DEPTH} levels deep")
        for selection in selections:
            self.selections += 1
            if self.selections > MAX_SELECTIONS:
                raise GraphQLError(f"the document selects more than {MAX_SELECTIONS} fields in all")
            if isinstance(selection, FieldNode):
                name = selection.alias.value if selection.alias else selection.name.value
                places.setdefault(name, []).append(selection)
                continue
            inner: SelectionSetNode | None = None
            if isinstance(selection, InlineFragmentNode):
                inner = selection.selection_set
            elif isinstance(selection, FragmentSpreadNode) and selection.name.value in self.fragments:
                inner = self.fragments[selection.name.value].selection_set
            if inner is not None:
                self._collect(inner.selections, places, depth + 1)
