"""The ids of a project's runs, and nothing else of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wbgql.connection import Connection, iter_nodes
from wbgql.errors import NotFound
from wbgql.paths import ProjectPath
from wbgql.runs.nodes import DEFAULT_ORDER, LIST_RUN_IDS, MAX_PAGE_SIZE, IdNode
from wbgql.scalars import dump_json
from wbgql.session import Session


def list_run_ids(
    session: Session, path: ProjectPath, filters: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Return {run id: storage id} of the runs that match `filters`, all by default.

    Sends ceil(n / 1000) requests.

    Raises:
        NotFound: the project is missing or not visible.
    """

    nodes = iter_run_ids(session, path, filters)
    return {node.name: node.id for node in nodes}


def iter_run_ids(
    session: Session,
    path: ProjectPath,
    filters: Mapping[str, Any] | None = None,
    *,
    order: str = DEFAULT_ORDER,
    page_size: int = MAX_PAGE_SIZE,
) -> Iterator[IdNode]:
    """Yield the ids of the runs that match `filters`, in `order`. One request a page, lazily.

    Raises:
        NotFound: the project is missing or not visible.
    """

    def fetch(first: int, after: str | None) -> Connection[IdNode]:
        project = session.execute(
            LIST_RUN_IDS,
            entity=path.entity,
            project=path.project,
            filters=dump_json(dict(filters or {})),
            order=order,
            first=first,
            after=after,
        ).project
        if project is None or project.runs is None:
            raise NotFound.project(path, operation=LIST_RUN_IDS.name)
        return project.runs

    return iter_nodes(fetch, changes=session.changes, page_size=page_size, key=lambda node: node.id)
