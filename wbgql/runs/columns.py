"""Which columns the config and summary keys of runs have, and of which kinds: what names alone do not tell.

A project lists its keys with types, and leaves two things open: whether a dot is part of a name or leads
into an object, and whether text at a key of the summary is text, or stands for NaN and infinities. Values
tell, and where the first runs have none, the server's counts do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from wbgql.expressions import FieldPath
from wbgql.frames import KeyKind, TextKeys, column_name, kinds_of_field_types
from wbgql.frames.decoding import dig, unwrap
from wbgql.projects import ProjectField
from wbgql.scalars import NON_FINITE_TEXTS, parse_json

Kinds = dict[str, tuple[KeyKind, ...]]
Count = Callable[[dict[str, Any]], int]
"""Counts the runs of the projects for which a filter holds."""

# So many runs of the first page are looked at before the server is asked.
_LOOKED_AT = 20
# So many counts are asked for at most; beyond, a dot is nesting and text is text.
_MOST_COUNTS = 30


def settle_columns(
    fields: Iterable[ProjectField],
    texts: Sequence[TextKeys],
    nodes: Iterable[Any],
    count: Count,
) -> Kinds:
    """Return the kinds of the columns of `texts`, by base name.

    `nodes`: the first runs that were read. Sends a count for each dotted name and each key of the summary
    that is typed as text, unless these runs already tell.

    Source: paths look like `summary_metrics.val/loss` and `config.lr.value` (W&B's MCP server, 2026).
    """
    types, leaves = _types(fields)
    looked_at = list(islice(nodes, _LOOKED_AT))
    values = {text.prefix: [_values(text, node) for node in looked_at] for text in texts}
    ask = _Limited(count)
    kinds: Kinds = {}
    wanted = {text.name_of(parts) for text in texts for parts in text.keys or ()}
    prefixes = {text.prefix: text for text in texts if text.keys is None}
    for path, names in types.items():
        base = column_name(path.section, *path.parts)
        text = prefixes.get(path.section)
        is_top = text is not None and len(path.parts) == 1 and path.parts[0] not in text.hidden
        if not (base in wanted or is_top) or not (found := kinds_of_field_types(names)):
            continue
        if is_top and names == {"map"} and not _is_there(path, values[path.section], ask):
            flat = {leaf: names for leaf, names in leaves.items() if _is_below(leaf, path)}
            for leaf, leaf_names in flat.items():
                if leaf_kinds := kinds_of_field_types(leaf_names):
                    kinds[column_name(leaf.section, *leaf.parts)] = leaf_kinds
            continue
        if found == ("string",) and path.section == "summary" and _is_never_text(path, values, ask):
            found = ("number",)
        kinds[base] = found
    return kinds


class _Limited:
    """Counts, a limited number of times; then None."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._left = _MOST_COUNTS

    def __call__(self, filters: dict[str, Any]) -> int | None:
        self._left -= 1
        return self._count(filters) if self._left >= 0 else None


def _types(fields: Iterable[ProjectField]) -> tuple[dict[FieldPath, set[str]], dict[FieldPath, set[str]]]:
    """The types at each path, objects on the way included; and those at the paths that are listed."""
    types: dict[FieldPath, set[str]] = {}
    leaves: dict[FieldPath, set[str]] = {}
    for field in fields:
        path = FieldPath.of_key(field.path)
        if path is None:
            continue
        for length in range(1, len(path.parts)):
            types.setdefault(FieldPath(path.section, path.parts[:length]), set()).add("map")
        types.setdefault(path, set()).add(field.type)
        leaves.setdefault(path, set()).add(field.type)
    return types, leaves


def _values(text: TextKeys, node: Any) -> Mapping[str, Any]:
    (written,) = text.read([node])
    try:
        found = parse_json(written or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: unwrap(value) for key, value in found.items()} if text.wrapped else found


def _is_below(leaf: FieldPath, path: FieldPath) -> bool:
    return leaf.section == path.section and leaf.parts[: len(path.parts)] == path.parts


def _is_there(path: FieldPath, values: Sequence[Mapping[str, Any]], ask: _Limited) -> bool:
    """Whether a run has a key of this very name; if none has, the dots below it are part of names."""
    if any(path.parts[0] in run for run in values):
        return True
    found = ask({path.key: {"$exists": True}})
    return found is None or found > 0


def _is_never_text(path: FieldPath, values: Mapping[str, Sequence[Mapping[str, Any]]], ask: _Limited) -> bool:
    """Whether all text at a key stands for NaN and infinities."""
    seen = [dig(run, path.parts) for run in values.get(path.section, ())]
    if any(isinstance(value, str) and value not in NON_FINITE_TEXTS for value in seen):
        return False
    return ask({"$and": [{path.key: {"$ne": None}}, {path.key: {"$nin": list(NON_FINITE_TEXTS)}}]}) == 0
