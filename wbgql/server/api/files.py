"""Resolvers for files of runs."""

from __future__ import annotations

from typing import Any

from wbgql.errors import UsageError
from wbgql.server import accounts
from wbgql.server.api.registry import Info, Resolvers
from wbgql.server.api.selection import select
from wbgql.server.backend import Context
from wbgql.server.projects.rows import parse_id
from wbgql.server.relay import offset_after, page_size, to_connection
from wbgql.server.runs import files
from wbgql.server.runs import rows as runs
from wbgql.server.store.database import Row

resolvers = Resolvers()


@resolvers.field("Run", "files")
def run_files(
    run: Row,
    info: Info,
    names: list[str] | None = None,
    pattern: str | None = None,
    first: int | None = None,
    after: str | None = None,
    **_: Any,
) -> Row:
    context: Context = info.context
    offset, size = offset_after(after), page_size(first)
    if names:
        named = _named(context, run, [name for name in names if name is not None], info)
        connection = _connect(context, run, named[offset : offset + size + 1], offset, size)
        return connection | {"totalCount": len(named)}
    found = files.list_files(context.db, run["pk"], pattern=pattern, limit=size + 1, offset=offset)
    connection = _connect(context, run, found, offset, size)
    return connection | {
        "totalCount": lambda _info: files.count_files(context.db, run["pk"], pattern=pattern)
    }


def _connect(context: Context, run: Row, found: list[Row], offset: int, size: int) -> Row:
    may_upload = _may_upload(context, run)
    nodes = [files.to_node(context, file, may_upload=may_upload) for file in found[:size]]
    return to_connection(nodes, offset, has_next=len(found) > size) | {"uploadHeaders": []}


def _may_upload(context: Context, run: Row) -> bool:
    return context.role(run["project"]["entityPk"]) in accounts.WRITERS


def _named(context: Context, run: Row, names: list[str], info: Info) -> list[Row]:
    """Named files; made where they are missing if an address to upload to is asked for."""
    if _may_upload(context, run) and any(
        node.name.value == "uploadUrl" for node in select(info, "edges", "node")
    ):
        with context.store.write() as db:
            return files.register_files(db, run["pk"], names, context.backend.now())
    return files.find_files(context.db, run["pk"], names)


@resolvers.field("Run", "fileCount")
def run_file_count(run: Row, info: Info) -> int:
    return files.count_files(info.context.db, run["pk"])


@resolvers.field("File", "url")
def file_url(file: Row, _info: Info, upload: bool | None = None) -> str | None:
    url: str | None = file["uploadUrl"] if upload else file["directUrl"]
    return url


@resolvers.mutation("createRunFiles")
def create_run_files(context: Context, given: Row) -> Row:
    run = runs.find_run_by_path(context, given["entityName"], given["projectName"], given["runName"])
    with context.store.write() as db:
        found = files.register_files(db, run["pk"], given["files"], context.backend.now())
    return {
        "runID": run["id"],
        "uploadHeaders": [],
        "files": [files.to_node(context, file, may_upload=True) for file in found],
    }


@resolvers.mutation("markRunFilesUploaded")
def mark_run_files_uploaded(context: Context, given: Row) -> Row:
    """Nothing to do: a file is shown as soon as its upload is stored."""
    runs.find_run_by_path(context, given["entityName"], given["projectName"], given["runName"])
    return {"success": True}


@resolvers.mutation("deleteFiles")
def delete_files(context: Context, given: Row) -> Row:
    files.delete_files(context, [_file_pk(one) for one in given["files"]], given.get("projectId"))
    return {"success": True}


def _file_pk(file_id: str) -> int:
    pk = parse_id("File", file_id)
    if pk < 0:
        raise UsageError(f"not the id of a run's file: {file_id!r}")
    return pk
