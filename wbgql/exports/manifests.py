"""What an export holds and what it was asked for: the manifest beside its parts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from wbgql.errors import StoreError, UsageError
from wbgql.frames import FileFormat, KeyKind
from wbgql.runs import RunSelection
from wbgql.runs.frames import Types

MANIFEST = "manifest.json"


class Part(msgspec.Struct, kw_only=True):
    """One file: its rows, the SHA-256 of its bytes, and how far it came.

    `since` is the latest creation time in it, `ids` the runs of that instant that are written. A part
    without rows has an empty `project`: it stands for the columns, where no run matched.
    """

    file: str
    project: str
    rows: int
    sha256: str
    since: str
    ids: list[str]


class Unread(msgspec.Struct):
    """A project that could not be read, and why."""

    project: str
    reason: str


class Manifest(msgspec.Struct, kw_only=True):
    """What an export holds. `asked` is compared before going on; the rest is fixed at the first start."""

    tool: str
    asked: dict[str, Any]
    filters: dict[str, Any]
    projects: list[str]
    kinds: dict[str, list[KeyKind]] | None = None
    columns: dict[str, str] = {}
    started_at: datetime
    finished_at: datetime | None = None
    parts: list[Part] = []
    done: list[str] = []
    unread: list[Unread] = []
    moved: list[str] = []
    rows: int = 0
    complete: bool = False


def read_manifest(folder: Path) -> Manifest:
    """Read what an export holds.

    Raises:
        StoreError: there is no manifest, or it is damaged.
    """
    file = folder / MANIFEST
    try:
        return msgspec.json.decode(file.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise StoreError(f"no manifest of an export, or a damaged one: {file}, {error}") from error


def asked_of(
    selection: RunSelection, format: FileFormat, types: Types | None, rows_per_part: int
) -> dict[str, Any]:
    """What must be the same to go on, as it was written: `ago("7d")`, not the instant."""
    question = selection.question
    return {
        "projects": str(selection.scope),
        "where": None if question.where is None else str(question.where),
        "filters": question.filters if question.where is None else None,
        "select": "*" if question.select == "*" else [str(selected) for selected in question.select],
        "order": question.order_text,
        "types": dict(types or {}),
        "format": format,
        "rows_per_part": rows_per_part,
    }


def open_manifest(
    folder: Path,
    asked: Mapping[str, Any],
    selection: RunSelection,
    *,
    resume: bool,
    clock: Callable[[], datetime],
) -> Manifest:
    """The manifest to go on with, or a new one."""
    if (folder / MANIFEST).exists():
        if not resume:
            raise UsageError(f"folder holds an export: {folder}, remove it, name another, or resume")
        manifest = read_manifest(folder)
        different = [name for name, value in asked.items() if manifest.asked.get(name) != value]
        if different:
            raise UsageError(
                f"folder holds an export that asked for something else ({', '.join(different)}): {folder},"
                " name another"
            )
        return manifest
    if any(not entry.name.startswith(".") for entry in folder.iterdir()):
        raise UsageError(f"folder is not empty: {folder}, remove what is there or name another")
    return Manifest(
        tool=f"wbgql {version('wbgql')}",
        asked=dict(asked),
        filters=selection.filters,
        projects=[str(path) for path in selection.project_paths()],
        started_at=clock(),
    )


def digest_of(file: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
