"""Which keys, values and tags the runs of a project hold."""

from __future__ import annotations

import json
import re
from typing import Any

from wbgql.server.backend import Context
from wbgql.server.filters.compile import RunFields
from wbgql.server.filters.fields import ColumnField, JsonField, path_literal
from wbgql.server.runs import pages as run_pages
from wbgql.server.store.database import Row, rows

MAX_VALUES = 1000

_TYPES = {
    "integer": "number",
    "real": "number",
    "text": "string",
    "true": "boolean",
    "false": "boolean",
    "null": "nil",
    "array": "list",
    "object": "map",
}
_SOURCES = {"summary_metrics": "summary_values", "config": "config_values"}
_COLUMN_NAMES = {
    "summary_metrics": "summary_metrics",
    "summaryMetrics": "summary_metrics",
    "config": "config",
}

# Objects are walked into, arrays and media objects are not.
_LEAVES = """
SELECT DISTINCT tree.path AS path, tree.key AS key, tree.type AS type
FROM runs, json_tree(runs.{column}) AS tree
WHERE runs.project_id = ? AND runs.deleted_at IS NULL AND typeof(tree.key) = 'text' AND tree.type != 'object'
"""


def list_fields(
    context: Context,
    project: Row,
    *,
    columns: list[str] | None = None,
    pattern: str | None = None,
    types: list[str] | None = None,
) -> list[Row]:
    """`path` and `type` of every key in config and summary, by path.

    Paths are written as filters take them: `summary_metrics.val/loss`, `config.lr.value`.
    `pattern` is a part of the path. Reads every run of the project.
    """
    wanted = {_COLUMN_NAMES.get(column, column) for column in columns or _SOURCES}
    found: dict[tuple[str, str], Row] = {}
    for prefix, column in _SOURCES.items():
        if prefix in wanted:
            for leaf in rows(context.db, _LEAVES.format(column=column), (project["pk"],)):
                path, kind = _path(prefix, leaf), _TYPES[leaf["type"]]
                if path is not None:
                    found[path, kind] = {"path": path, "type": kind}
    return [
        node
        for _, node in sorted(found.items())
        if (not pattern or pattern.strip("%") in node["path"]) and (not types or node["type"] in types)
    ]


def _path(prefix: str, leaf: Row) -> str | None:
    """How filters name a leaf; None inside an array, which has no name of its own."""
    labels = _labels(leaf["path"])
    if labels is None:
        return None
    parts = [*labels, leaf["key"]]
    if prefix == "config":
        parts.insert(1, "value")
    return ".".join([prefix, *parts])


_LABEL = re.compile(r'\.(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>\w+))', re.DOTALL)


def _labels(path: str) -> list[str] | None:
    """The keys in a path that json_tree wrote, such as `$.a."b c"`; None if it leads through an array."""
    labels, position = [], 1
    while position < len(path):
        match = _LABEL.match(path, position)
        if match is None:
            return None
        quoted = match["quoted"]
        labels.append(match["plain"] if quoted is None else json.loads(f'"{quoted}"', strict=False))
        position = match.end()
    return labels


def count_tags(context: Context, project: Row, filters: str | None) -> list[Row]:
    """`name` and `count` of each tag on the runs that match, most frequent first."""
    where, params = run_pages.where_sql(context, project, filters)
    sql = (
        "SELECT tag.value AS name, count(*) AS count FROM runs, json_each(runs.tags) AS tag"  # noqa: S608
        f" WHERE {where} GROUP BY tag.value ORDER BY 2 DESC, 1"
    )
    return rows(context.db, sql, params)


def count_values(context: Context, project: Row, key: str, filters: str | None) -> list[Row]:
    """`value` (JSON text) and `count` for the values of one key over the runs that match.

    Raises:
        UsageError: no such column.
    """
    source = RunFields(project["pk"]).resolve(key)
    if isinstance(source, ColumnField):
        value = f"json_quote({source.source})"
    elif isinstance(source, JsonField):
        value = f"{source.source} -> {path_literal(source.parts)}"
    else:
        return []
    where, params = run_pages.where_sql(context, project, filters)
    found: list[Any] = rows(
        context.db,
        f"SELECT {value} AS value, count(*) AS count FROM runs WHERE {where} AND {value} IS NOT NULL"  # noqa: S608
        f" GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MAX_VALUES}",
        params,
    )
    return [one | {"displayValue": one["value"]} for one in found]
