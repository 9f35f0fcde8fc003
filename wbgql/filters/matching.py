"""A raw filter over a document, by MongoDB's rules: to check again what a server returned. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, TypeAlias

from wbgql.errors import FilterError
from wbgql.filters.columns import COLUMNS, check_key, column_of, split_key
from wbgql.filters.linting import MAX_DEPTH
from wbgql.filters.operators import MISSING, Maker, Predicate, Reader, Values
from wbgql.scalars import parse_datetime, to_safe_json

Document: TypeAlias = Mapping[str, object]
Dialect: TypeAlias = Literal["wandb", "mongodb"]
_Finder: TypeAlias = Callable[[object], Values]

# Keys whose values no query of this package fetches, so their absence says nothing.
_UNFETCHED = frozenset({"keys_info", "inputArtifacts", "outputArtifacts"})


def filter_matches(
    filters: object, document: Document, *, dialect: Dialect = "wandb", config_wrapped: bool | None = None
) -> bool:
    """Whether `document` is one that the raw filter asks for; see `make_matcher`."""
    return make_matcher(filters, dialect=dialect, config_wrapped=config_wrapped)(document)


def make_matcher(
    filters: object, *, dialect: Dialect = "wandb", config_wrapped: bool | None = None
) -> Callable[[Document], bool]:
    """Return a predicate over run documents; the whole filter is checked here, once.

    "wandb": top-level keys are the server's (`createdAt`, `config.lr.value`, `summary_metrics.loss`),
    dates are compared as instants, NaN and infinities count as the strings that W&B stores.
    `config_wrapped` says whether config entries are `{"value": ...}`; None: they are if each looks so.
    "mongodb": any keys, every value as it stands.

    An absent key and null count as MongoDB counts them, also where W&B's SQL may not.

    Raises:
        FilterError: an operator or key it does not know, or a malformed test: it never guesses.
    """
    return _Compiler(dialect, config_wrapped).predicate(filters, "$", 0)


class _Compiler:
    """Turns a filter into one predicate; a class because every step needs the two options."""

    def __init__(self, dialect: Dialect, config_wrapped: bool | None) -> None:
        self.wandb = dialect == "wandb"
        self.config_wrapped = config_wrapped

    def predicate(self, filters: object, where: str, depth: int) -> Predicate:
        if not isinstance(filters, Mapping):
            raise FilterError(f"{where}: {filters!r} is not an object, write {{key: value}}")
        if depth > MAX_DEPTH:
            raise FilterError(f"{where[:80]}...: nested deeper than {MAX_DEPTH} levels")
        terms = [self._term(key, value, f"{where}.{key}", depth) for key, value in filters.items()]
        return lambda document: all(term(document) for term in terms)

    def _term(self, key: object, value: object, where: str, depth: int) -> Predicate:
        if not isinstance(key, str):
            raise FilterError(f"{where}: {key!r} is not text, JSON keys are")
        if key.startswith("$"):
            return self._logic(key, value, where, depth)
        if self.wandb:
            find, read = self._run_finder(key, where), _run_reader(key)
        else:
            find, read = _plain_finder(key), _as_it_stands
        test = Maker(read, _nested).make(value, where, depth)
        return lambda document: test(find(document))

    def _logic(self, operator: str, members: object, where: str, depth: int) -> Predicate:
        if operator not in ("$and", "$or", "$nor"):
            raise FilterError(f"{where}: unknown operator, so this cannot be checked")
        if not isinstance(members, (list, tuple)):
            raise FilterError(f"{where}: {members!r} is not a list")
        terms = [
            self.predicate(member, f"{where}[{index}]", depth + 1) for index, member in enumerate(members)
        ]
        if operator == "$and":
            # An empty one holds: W&B's web interface sends {"$or": [{"$and": []}]} for every run.
            # Source: wandb `board/ui/src/util/filters.ts` (2018).
            return lambda document: all(term(document) for term in terms)
        wanted = operator == "$or"
        return lambda document: any(term(document) for term in terms) is wanted

    def _run_finder(self, key: str, where: str) -> _Finder:
        check_key(key, where)
        section, parts = split_key(key)
        column = column_of(key) or section

        def find(document: object) -> Values:
            root = document.get(column, MISSING) if isinstance(document, Mapping) else MISSING
            if root is MISSING and column in _UNFETCHED:
                raise FilterError(f"{where}: the document has no {column!r}, so this cannot be checked")
            if column == "config" and isinstance(root, Mapping) and self._is_wrapped(root):
                root = {name: entry["value"] for name, entry in root.items() if "value" in entry}
            # Below an array without objects, MongoDB sees neither null nor a key; SQL, and so W&B, sees null.
            return [_stored(value, column) for value in walk(root, parts)] or [MISSING]

        return find

    def _is_wrapped(self, config: Mapping[object, object]) -> bool:
        if self.config_wrapped is not None:
            return self.config_wrapped
        return all(
            isinstance(entry, Mapping) and "value" in entry and entry.keys() <= {"value", "desc"}
            for entry in config.values()
        )


def walk(value: object, parts: tuple[str, ...]) -> Iterator[object]:
    """Yield what a dotted key leads to: into objects, array positions and arrays of objects.

    Below an array without objects that is nothing at all.
    """
    if not parts:
        yield value
    elif isinstance(value, Mapping):
        yield from walk(value[parts[0]], parts[1:]) if parts[0] in value else (MISSING,)
    elif isinstance(value, (list, tuple)):
        if parts[0].isdecimal() and int(parts[0]) < len(value):
            yield from walk(value[int(parts[0])], parts[1:])
        for member in value:
            if isinstance(member, Mapping):
                yield from walk(member, parts)
    else:
        yield MISSING


def _nested(filters: object, where: str, depth: int) -> Predicate:
    return _Compiler("mongodb", None).predicate(filters, where, depth)


def _plain_finder(key: str) -> _Finder:
    parts = tuple(key.split("."))
    return lambda document: list(walk(document, parts))


def _as_it_stands(value: object, _where: str) -> object:
    return value


def _run_reader(key: str) -> Reader:
    """Return how operands of this key are read: dates as instants, the rest as W&B stores it."""
    column = column_of(key)
    if column is None or COLUMNS[column] != "date":
        return lambda value, _where: to_safe_json(value)
    return _read_instant


def _read_instant(value: object, where: str) -> object:
    if value is None:
        return None
    if not isinstance(value, str):
        raise FilterError(f"{where}: {value!r} is not an instant")
    try:
        return parse_datetime(value)
    except (ValueError, OverflowError) as error:
        raise FilterError(f"{where}: {value!r} is not an instant") from error


def _stored(value: object, column: str) -> object:
    if COLUMNS.get(column) == "date" and isinstance(value, str):
        try:
            return parse_datetime(value)
        except (ValueError, OverflowError):
            return value
    return to_safe_json(value)
