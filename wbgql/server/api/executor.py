"""Executes the SDL: documents are parsed and validated once, errors get the status W&B gives them."""

from __future__ import annotations

import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    execute_sync,
    parse,
    specified_rules,
    validate,
)

from wbgql.errors import AuthenticationError, NotFound, PermissionDenied, RequestError, StoreError, UsageError
from wbgql.server.api import work
from wbgql.server.api.registry import Resolvers, bind
from wbgql.server.api.scalars import restrict_scalars
from wbgql.server.api.visibility import guard, read_key
from wbgql.server.backend import Context
from wbgql.server.http.statuses import public_message, status_of
from wbgql.server.likeness.lacking import answer_null, read_schema, take_out
from wbgql.server.store.database import STORE_FAILURES

# What a document would cost to validate and execute, counted before either.

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


log = logging.getLogger("wbgql.server")

MAX_TOKENS = 20_000
CACHED_BYTES = 2**20
"""Text of parsed documents that are kept; what a parse makes of a text takes some hundred times as much."""
MAX_CACHED_DOCUMENT = 2**16

# W&B's own words; the SDK looks for them (wandb SDK 0.31.0 `apis/public/jobs.py`, 2026-11).
_UNKNOWN_FIELD = re.compile(r"^Cannot query field '(\w+)' on type '(\w+)'\.")

_CODES: tuple[tuple[type[Exception], str], ...] = (
    (AuthenticationError, "UNAUTHENTICATED"),
    (PermissionDenied, "PERMISSION_ERROR"),
    (NotFound, "NOT_FOUND"),
    (UsageError, "BAD_REQUEST"),
    (StoreError, "UNAVAILABLE"),
    (RequestError, "FAILED"),
)


@dataclass(frozen=True)
class Answer:
    """The body of an answer and its HTTP status."""

    status: int
    body: dict[str, Any]


@dataclass(frozen=True)
class _Prepared:
    document: DocumentNode | None
    errors: tuple[GraphQLError, ...] = ()


class Api:
    """The schema with its resolvers, but for the coordinates in `without`; those in `null` are answered null.

    Raises:
        DocumentError: the SDL is broken, or a resolver has no field in it.
        ConfigError: `without` or `null` names what the SDL does not have, or `null` what is never null.
    """

    def __init__(
        self,
        sdl: Path,
        resolvers: Iterable[Resolvers],
        *,
        without: Iterable[str] = (),
        null: Iterable[str] = (),
        introspection: bool = True,
    ) -> None:
        self.schema: GraphQLSchema = read_schema(sdl)
        restrict_scalars(self.schema)
        bind(self.schema, resolvers)
        guard(self.schema)
        answer_null(self.schema, null)
        take_out(self.schema, without)
        self._rules = None if introspection else [*specified_rules, NoSchemaIntrospectionCustomRule]
        self._prepared: OrderedDict[str, _Prepared] = OrderedDict()
        self._cached_bytes = 0
        self._caching = threading.Lock()

    def _prepare(self, text: str) -> _Prepared:
        """Parse and validate a document; those asked for last are kept, up to `CACHED_BYTES` of text."""
        with self._caching:
            found = self._prepared.get(text)
            if found is not None:
                self._prepared.move_to_end(text)
                return found
        made = self._parse_and_validate(text)
        if len(text) > MAX_CACHED_DOCUMENT:
            return made
        with self._caching:
            if self._prepared.setdefault(text, made) is made:
                self._cached_bytes += len(text)
            while self._cached_bytes > CACHED_BYTES:
                self._cached_bytes -= len(self._prepared.popitem(last=False)[0])
        return made

    def _parse_and_validate(self, text: str) -> _Prepared:
        try:
            document = parse(text, max_tokens=MAX_TOKENS)
            check_cost(document)
        except GraphQLError as error:
            return _Prepared(None, (error,))
        except RecursionError:
            return _Prepared(None, (GraphQLError("the document is nested too deeply"),))
        return _Prepared(document, tuple(validate(self.schema, document, self._rules)))

    def is_mutation(self, text: str) -> bool:
        """Whether a document holds a mutation."""
        document = self._prepare(text).document
        return document is not None and any(
            isinstance(part, OperationDefinitionNode) and part.operation is OperationType.MUTATION
            for part in document.definitions
        )

    def execute(
        self, context: Context, text: str, variables: Mapping[str, Any], operation_name: str | None
    ) -> Answer:
        """Run one operation.

        Variables that the document does not declare are ignored and `operationName: ""` is none:
        the SDK sends both (wandb SDK 0.31.0, seen on the wire 2026-11).
        """
        prepared = self._prepare(text)
        if prepared.document is None or prepared.errors:
            return Answer(400, {"errors": [error_body(error) for error in prepared.errors]})
        result = execute_sync(
            self.schema,
            prepared.document,
            context_value=context,
            variable_values=dict(variables),
            operation_name=operation_name or None,
            field_resolver=read_key,
        )
        work.check()
        for error in result.errors or ():
            # The executor has caught what the store's own guard, around this call, knows how to tell.
            if isinstance(error.original_error, STORE_FAILURES):
                raise error.original_error
        # Taken out: graphql-core's executor is part of a reference cycle that holds the context, and would
        # keep megabytes until the next collection.
        while context.prebuilt:
            _put(result.data, *context.prebuilt.pop())
        return _answer(result)


def _put(data: Any, path: Sequence[str | int], value: Any) -> None:
    for step in path[:-1]:
        if data is None:
            # An error beside it has made the whole branch null.
            return
        data = data[step]
    if data is not None:
        data[path[-1]] = value


def _answer(result: ExecutionResult) -> Answer:
    if not result.errors:
        return Answer(200, {"data": result.data})
    body = {"errors": [error_body(error) for error in result.errors], "data": result.data}
    return Answer(_status(result.errors), body)


def _status(errors: Sequence[GraphQLError]) -> int:
    return max(status_of(error.original_error or error) for error in errors)


def error_body(error: GraphQLError) -> dict[str, Any]:
    """One entry of `errors`. What went wrong inside the server is logged, not told."""
    cause = error.original_error
    if cause is None or isinstance(cause, GraphQLError):
        # The caller's: a document, a variable or an argument that the schema does not take.
        body: dict[str, Any] = {**error.formatted}
        body["message"] = _UNKNOWN_FIELD.sub(r'Cannot query field "\1" on type "\2".', error.message)
        return body
    code = next((code for kind, code in _CODES if isinstance(cause, kind)), None)
    if code is None:
        log.error("internal error at %s", error.path, exc_info=cause)
    message = "internal error" if code is None else public_message(cause)
    return {"message": message, "path": error.path, "extensions": {"code": code or "INTERNAL"}}
