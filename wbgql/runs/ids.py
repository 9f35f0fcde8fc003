"""The ids of a project's runs, and nothing else of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from wbgql.documents import Names
from wbgql.errors import NotFound, ResponseError
from wbgql.paths import ProjectPath
from wbgql.runs.nodes import DEFAULT_ORDER, LIST_RUN_IDS, MAX_PAGE_SIZE, IdNode
from wbgql.scalars import dump_json
from wbgql.wire.connection import Connection, iter_nodes
from wbgql.wire.session import Session


def list_run_ids(
    session: Session,
    path: ProjectPath,
    filters: Mapping[str, Any] | None = None,
    *,
    names: Names = "refuse",
) -> dict[str, str]:
    """Return {run id: storage id} of the runs that match `filters`, all by default.

    Sends ceil(n / 1000) requests.

    Raises:
        NotFound: the project is missing or not visible.
        ResponseError: rows came as null, so that the population is not known.
        UsageError: the server resolved the path to another one, unless `names` says otherwise.
    """
    nodes = iter_run_ids(session, path, filters, names=names, on_hidden=_refuse_hidden)
    return {node.name: node.id for node in nodes}


def iter_run_ids(
    session: Session,
    path: ProjectPath,
    filters: Mapping[str, Any] | None = None,
    *,
    order: str = DEFAULT_ORDER,
    page_size: int = MAX_PAGE_SIZE,
    names: Names = "refuse",
    on_hidden: Callable[[int], object] | None = None,
) -> Iterator[IdNode]:
    """Yield the ids of the runs that match `filters`, in `order`. One request a page, lazily.

    Raises:
        NotFound: the project is missing or not visible.
        UsageError: the server resolved the path to another one, unless `names` says otherwise.
    """
    operation = replace(LIST_RUN_IDS, names=names)

    def fetch(first: int, after: str | None) -> Connection[IdNode]:
        project = session.execute(
            operation,
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

    return iter_nodes(
        fetch,
        changes=session.changes,
        page_size=page_size,
        key=lambda node: node.id,
        what=f"runs of {str(path)!r}",
        on_hidden=on_hidden,
    )


def _refuse_hidden(hidden: int) -> None:
    raise ResponseError(
        f"{hidden} runs came as null: this key may not see them, so which runs there are is not known",
        operation=LIST_RUN_IDS.name,
    )
