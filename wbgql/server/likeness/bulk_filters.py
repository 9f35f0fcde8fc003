"""What mutations over many runs make of their filter: all of it, or less, as on servers that ignore a part.

A part that is ignored makes the filter match more runs, up to every run of the project.

Source: a public script of 2026 reports that `moveRuns` ignored `{"$or": [...]}` and moved about 1,000 runs;
three others read the right result back after `{"name": {"$in": [...]}}`.
"""

from __future__ import annotations

import json
from typing import Any

from wbgql.server.backend import Context
from wbgql.server.likeness.switches import IGNORED, NO_IN, NO_OR, OBEYED
from wbgql.server.runs import pages as run_pages
from wbgql.server.store.database import Connection, Row


def matching(
    context: Context, db: Connection, project: Row, filters: str | None, *, deleted: bool = False
) -> list[Row]:
    """The runs that a bulk mutation takes; see `run_pages.matching`. What is ignored must be valid."""
    given = run_pages.parse_filters(filters)
    found = run_pages.matching(context, db, project, filters, deleted=deleted)
    obeyed = cut(given, context.backend.settings.bulk_filters)
    if obeyed == given:
        return found
    return run_pages.matching(context, db, project, json.dumps(obeyed), deleted=deleted)


def cut(filter_: Any, bulk_filters: str) -> Any:
    """A filter without what is ignored under `bulk_filters`, one of `likeness.BULK_FILTERS`."""
    if bulk_filters == IGNORED:
        return {}
    if bulk_filters == OBEYED or not isinstance(filter_, dict):
        return filter_
    kept: dict[str, Any] = {}
    for key, value in filter_.items():
        if key == "$or" and bulk_filters == NO_OR:
            continue
        if bulk_filters == NO_IN and isinstance(value, dict) and "$in" in value:
            continue
        kept[key] = [cut(one, bulk_filters) for one in value] if key.startswith("$") else value
    return kept
