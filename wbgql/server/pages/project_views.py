"""Views of projects: all of them, one's runs, and the runs it has deleted but still keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from wbgql.errors import NotFound, UsageError
from wbgql.server.backend import Context
from wbgql.server.lifecycle import retention
from wbgql.server.pages import columns, formatting
from wbgql.server.pages.columns import KnownKeys
from wbgql.server.pages.filtering import Column, to_column, to_filters, to_order
from wbgql.server.pages.visits import Page, Visit, turn_pages
from wbgql.server.projects import rows as projects
from wbgql.server.runs import pages as run_pages
from wbgql.server.runs import rows as runs
from wbgql.server.store.database import Row, rows

PROJECTS_OF_EACH = 20
PROJECTS_A_PAGE = 100
RUNS_A_PAGE = 50
DELETED_A_PAGE = 100
MAX_COUNTED = 10_000


# ---- lists of projects ----


def home(visit: Visit) -> Page:
    """The projects of every entity that the viewer belongs to."""
    context = visit.context
    entities = rows(
        context.db, "SELECT id, name, kind FROM entities ORDER BY id <> ?, name", (context.viewer.entity_id,)
    )
    sections = []
    for entity in entities:
        if context.role(entity["id"]) is None:
            continue
        found = projects.list_projects(context, entity["name"], PROJECTS_OF_EACH + 1, 0)
        if found or entity["id"] == context.viewer.entity_id:
            listed = _with_facts(context, found[:PROJECTS_OF_EACH])
            sections.append({"entity": entity, "projects": listed, "more": len(found) > PROJECTS_OF_EACH})
    return Page("home.html", {"sections": sections})


def entity(visit: Visit) -> Page:
    """The projects of one entity.

    Raises:
        NotFound: no such entity, or none of it is visible.
    """
    context, name = visit.context, visit.path["entity"]
    owner = projects.find_entity(context.db, name, context.viewer.entity_id)
    offset = (visit.page_number() - 1) * PROJECTS_A_PAGE
    found = projects.list_projects(context, name, PROJECTS_A_PAGE + 1, offset)
    if owner is None or (context.role(owner["id"]) is None and not found):
        raise NotFound(f"there is no user or team {name} that you may see", status=404)
    shown = _with_facts(context, found[:PROJECTS_A_PAGE])
    pager = turn_pages(visit, PROJECTS_A_PAGE, shown=len(shown), more=len(found) > PROJECTS_A_PAGE)
    return Page("entity.html", {"entity": owner, "projects": shown, "pager": pager})


# One subquery for each fact: together, SQLite would read the rows and not only an index.
_FACTS = """
SELECT id, (SELECT count(*) FROM runs WHERE project_id = projects.id AND deleted_at IS NULL),
    (SELECT max(created_at) FROM runs WHERE project_id = projects.id AND deleted_at IS NULL),
    (SELECT count(*) FROM runs WHERE project_id = projects.id AND deleted_at IS NULL
        AND state IN ('running', 'preempting'))
FROM projects WHERE id IN ({marks})
"""


def _with_facts(context: Context, found: list[Row]) -> list[Row]:
    """Projects with `runs`, `lastRun` and `active`. One query for all of them."""
    pks = [project["pk"] for project in found]
    read = context.db.execute(_FACTS.format(marks=",".join("?" * len(pks))), pks)
    facts = {pk: {"runs": count, "lastRun": last, "active": active} for pk, count, last, active in read}
    return [project | facts[project["pk"]] for project in found]


# ---- the table of runs ----


@dataclass(frozen=True)
class Heading:
    """The head of one chosen column: links to sort by it and to drop it.

    `numeric`: no run on the page has anything but a number there.
    """

    column: Column
    sort: str | None
    direction: str
    drop: str
    numeric: bool


def runs_table(visit: Visit) -> Page:
    """A project's runs, filtered and sorted, one page of them. A mistake in the filter is shown above."""
    project, context = visit.project(), visit.context
    found = _find(visit, project)
    known = KnownKeys(context, found.runs)
    table = found.columns or known.chosen()
    cells = columns.read_values(context, found.runs, table)
    page: dict[str, Any] = {
        **project_frame(visit, project, "runs"),
        "where": visit.query.get("where", ""),
        "order": found.order,
        "problem": found.problem,
        "runs": list(zip(found.runs, cells, strict=True)),
        "headings": [_heading(visit, table, index, cells, found.order) for index in range(len(table))],
        "created": _sort_link(visit, table, "created_at", found.order or "-created_at"),
        "offered": list(dict.fromkeys([*table, *known.offered()])),
        "chosen": table,
        "is_chosen": bool(found.columns),
        "pager": turn_pages(visit, RUNS_A_PAGE, shown=len(found.runs), more=found.more, total=found.total),
        "at_least": "at least " if found.is_cut else "",
        "clear": f"?{urlencode(visit.query_with(where=None))}",
    }
    return Page("runs.html", page, 400 if found.problem else 200)


@dataclass(frozen=True)
class _Found:
    """What was asked for and what was found; `problem` says why nothing could be."""

    order: str
    columns: list[Column]
    runs: list[Row]
    more: bool = False
    total: int | None = None
    problem: str = ""
    is_cut: bool = False
    """`total` is only what was counted."""


def _find(visit: Visit, project: Row) -> _Found:
    order, chosen = visit.query.get("order", ""), []
    try:
        chosen = [to_column(text) for text in dict.fromkeys(visit.query.getlist("select")) if text.strip()]
        columns.check(chosen)
        filters = to_filters(visit.query.get("where", ""), visit.now)
        found = run_pages.page(
            visit.context,
            project,
            filters=filters,
            order=to_order(order or "-created_at"),
            size=RUNS_A_PAGE,
            offset=(visit.page_number() - 1) * RUNS_A_PAGE,
        )
        total = _count(visit.context, project, filters)
    except UsageError as error:
        return _Found(order, chosen, [], problem=str(error))
    is_cut = total == MAX_COUNTED and bool(filters)
    return _Found(order, chosen, found.nodes(), found.more, total, is_cut=is_cut)


def _count(context: Context, project: Row, filters: str | None) -> int:
    """How many runs match; with a filter not counted beyond `MAX_COUNTED`, which would take long."""
    where, params = run_pages.where_sql(context, project, filters)
    limit = MAX_COUNTED if filters else -1
    sql = f"SELECT count(*) FROM (SELECT 1 FROM runs WHERE {where} LIMIT ?)"  # noqa: S608
    return int(context.db.execute(sql, (*params, limit)).get)


def _heading(visit: Visit, table: list[Column], index: int, cells: list[list[Any]], order: str) -> Heading:
    column = table[index]
    sort, direction = _sort_link(visit, table, column.text, order) if column.sorts else (None, "")
    values = [row[index] for row in cells if row[index] is not None]
    numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    return Heading(column, sort, direction, _link(visit, [one for one in table if one != column]), numeric)


def _sort_link(visit: Visit, table: list[Column], text: str, order: str) -> tuple[str, str]:
    """A link that sorts by a field, the other way round if it is sorted by already; and how it is now.

    It keeps the columns: which are shown unasked depends on the runs that come first.
    """
    direction = {f"-{text}": "descending", f"+{text}": "ascending", text: "ascending"}.get(order.strip(), "")
    wanted = f"+{text}" if direction == "descending" else f"-{text}"
    return _link(visit, table, order=wanted), direction


def _link(visit: Visit, table: list[Column], **changes: str) -> str:
    chosen = [("select", column.text) for column in table]
    return f"?{urlencode([*visit.query_with(**changes, select=None), *chosen], errors='replace')}"


def project_frame(visit: Visit, project: Row, tab: str) -> dict[str, Any]:
    """What stands around a page of a project: `project`, the open `tab`, and how many runs are `deleted`."""
    return {"project": project, "tab": tab, "deleted": _count_deleted(visit.context, project)}


# ---- deleted runs ----


def deleted_table(visit: Visit) -> Page:
    """Deleted runs that can still be restored, latest first, with the time of their purge.

    An admin of the entity sees all, a member own ones: those that each of them may restore.

    Raises:
        NotFound: the viewer may restore nothing there.
    """
    project = visit.project()
    context = visit.context
    scope = retention.restorable_scope(context, project)
    if scope is None:
        raise NotFound("you may not see deleted runs of this project", status=404)
    where, params = scope
    offset = (visit.page_number() - 1) * DELETED_A_PAGE
    sql = f"SELECT {runs.NODE_SQL} FROM runs WHERE {where} ORDER BY deleted_at DESC, id DESC LIMIT ? OFFSET ?"  # noqa: S608
    found = rows(context.db, sql, (*params, DELETED_A_PAGE + 1, offset))
    shown = [
        runs.to_node(values, project, context.users) | {"purgeAt": purge_time(context, values["deletedAt"])}
        for values in found[:DELETED_A_PAGE]
    ]
    frame = project_frame(visit, project, "deleted")
    pager = turn_pages(
        visit, DELETED_A_PAGE, shown=len(shown), more=len(found) > DELETED_A_PAGE, total=frame["deleted"]
    )
    retention_s = context.backend.settings.retention_s
    return Page("deleted.html", {**frame, "runs": shown, "pager": pager, "retention_s": retention_s})


def purge_time(context: Context, deleted_at: str) -> str:
    """When the bytes of a run deleted at that instant may go, as ISO text."""
    return formatting.after(deleted_at, context.backend.settings.retention_s)


def find_deleted(context: Context, project: Row, name: str) -> Row | None:
    """A deleted run that the viewer may restore."""
    scope = retention.restorable_scope(context, project)
    if scope is None:
        return None
    where, params = scope
    sql = f"SELECT {runs.NODE_SQL} FROM runs WHERE {where} AND name = ?"  # noqa: S608
    found = rows(context.db, sql, (*params, name))
    return runs.to_node(found[0], project, context.users) if found else None


def _count_deleted(context: Context, project: Row) -> int | None:
    """How many deleted runs the viewer may restore; None where the viewer may restore none at all."""
    scope = retention.restorable_scope(context, project)
    if scope is None:
        return None
    where, params = scope
    return int(context.db.execute(f"SELECT count(*) FROM runs WHERE {where}", params).get)  # noqa: S608
