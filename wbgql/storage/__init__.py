"""How many bytes runs and artifacts take, by user, project, artifact type or run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from wbgql.documents import NOT_FETCHED
from wbgql.downloads import Downloader
from wbgql.errors import NotFound, UsageError
from wbgql.frames.arrays import arrow
from wbgql.paths import ProjectPath
from wbgql.progress import NoProgress, Progress
from wbgql.projects import iter_projects
from wbgql.storage.counting import COLUMNS, StorageRow, Tally
from wbgql.storage.reading import (
    OPERATIONS,
    RunBytes,
    VersionBytes,
    get_meter,
    iter_run_bytes,
    iter_version_bytes,
)
from wbgql.wire.session import Session

By = Literal["user", "project", "type", "run"]
RUN_FILES = "(run files)"
"""The row of runs' own files where rows are artifact types."""

NEVER_SEEN = (
    "deleted runs and versions that wait for removal",
    "versions that were not committed",
    "reports, exports and other things that are neither runs nor artifacts",
)
"""What takes room and no list shows."""

__all__ = [
    "NEVER_SEEN",
    "OPERATIONS",
    "RUN_FILES",
    "By",
    "Coverage",
    "Storage",
    "StorageRow",
    "measure_storage",
]


@dataclass(slots=True)
class Coverage:
    """What a count rests on.

    `read`: projects, as entity/project. `not_visible`: those that were named or listed and did not
    answer, with the reason. `unread`: versions whose manifest could not be read, with the reason; their
    listed size was counted as if nothing in it were shared. `metered_bytes`: the server's own meter for
    each project, None where it does not say; what it has beyond `counted_bytes` was not seen.
    `missed_runs`: how many more runs a project says it has than it listed.
    """

    read: list[str] = field(default_factory=list)
    not_visible: dict[str, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    metered_bytes: dict[str, int | None] = field(default_factory=dict)
    counted_bytes: dict[str, int] = field(default_factory=dict)
    missed_runs: dict[str, int] = field(default_factory=dict)
    shared_counted_once: bool = True

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for and can be seen at all was counted."""
        return not (self.not_visible or self.unread or self.missed_runs) and self.shared_counted_once


@dataclass(frozen=True, slots=True)
class Storage:
    """Rows, the largest first, their total (each shared content once), and what the count rests on."""

    by: By
    rows: list[StorageRow]
    total: StorageRow
    coverage: Coverage

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as plain dicts, without the total."""
        return [row.as_dict() for row in self.rows]

    def to_arrow(self) -> Any:
        """The rows as a `pyarrow.Table`; `key` is text, all else int64; zero rows have the same columns.

        Raises:
            ConfigError: pyarrow is not installed.
        """
        pa = arrow()
        schema = pa.schema([(name, pa.string() if name == "key" else pa.int64()) for name in COLUMNS])
        return pa.Table.from_pylist(self.to_dicts(), schema=schema)


def measure_storage(
    session: Session,
    downloader: Downloader,
    paths: Iterable[ProjectPath],
    *,
    by: By = "user",
    manifests: bool = True,
    list_files: bool = False,
    progress: Progress | None = None,
) -> Storage:
    """Count the bytes of run files and artifact versions of projects, shared content once.

    A path's project may be a pattern (`*`, `?`, `[...]`) over the entity's projects. A content is one by
    its digest within an entity; whose it is follows from the version's creator, also where the run
    that made it is in another project.

    Cost for each project: one request for 1000 runs, one for 50 collections, and one small download for
    each version's manifest. `manifests=False` leaves those out: then every version counts in full.
    `list_files=True` adds up the listed files of runs instead of asking the server's meter, which may
    lag: one request for 50 runs.

    Raises:
        UsageError: `by` is none of user, project, type, run; or no path.
        NotFound: nothing that was asked for is visible.
    """
    if by not in get_args(By):
        raise UsageError(f"by must be one of {', '.join(get_args(By))}, not {by!r}")
    tally = Tally()
    coverage = Coverage(shared_counted_once=manifests)
    projects = _expand(session, paths, coverage)
    report = (progress or NoProgress()).report
    for number, path in enumerate(projects):
        report(number, len(projects))
        try:
            _count_project(
                session, downloader, path, by, tally, coverage, manifests=manifests, list_files=list_files
            )
        except NotFound as error:
            coverage.not_visible[str(path)] = str(error)
            continue
        coverage.read.append(str(path))
    report(len(projects), len(projects))
    if not coverage.read and coverage.not_visible:
        raise NotFound("; ".join(coverage.not_visible.values()))
    return Storage(by, tally.rows(), tally.total, coverage)


def _count_project(
    session: Session,
    downloader: Downloader,
    path: ProjectPath,
    by: By,
    tally: Tally,
    coverage: Coverage,
    *,
    manifests: bool,
    list_files: bool,
) -> None:
    before, runs_before = tally.total.total_bytes, tally.total.runs
    for run in iter_run_bytes(session, path, list_files=list_files):
        tally.add_run(_owner_of_run(run, by), files=run.files, size_bytes=run.size_bytes)
    for found in iter_version_bytes(session, path, downloader, manifests=manifests):
        contents, listed = found.contents, found.version.size
        if contents is not None:
            listed = sum(content.size_bytes for content in contents)
        tally.add_version(
            _owner_of_version(found, by, path),
            size_bytes=listed,
            contents=contents,
            reference_bytes=found.reference_bytes,
        )
        if found.error is not None:
            coverage.unread[found.version.path or found.version.name] = found.error
    coverage.counted_bytes[str(path)] = tally.total.total_bytes - before
    meter = get_meter(session, path)
    metered = None if meter is None or meter.storage_bytes is NOT_FETCHED else meter.storage_bytes
    coverage.metered_bytes[str(path)] = metered
    missed = 0 if meter is None else meter.run_count - (tally.total.runs - runs_before)
    if missed > 0:
        coverage.missed_runs[str(path)] = missed


def _owner_of_run(run: RunBytes, by: By) -> str | None:
    return {
        "user": run.user,
        "project": str(run.path.project_path),
        "type": RUN_FILES,
        "run": str(run.path),
    }[by]


def _owner_of_version(found: VersionBytes, by: By, path: ProjectPath) -> str | None:
    version = found.version
    return {
        "user": version.user,
        "project": str(path),
        "type": version.type,
        "run": str(version.run) if version.run else None,
    }[by]


def _expand(session: Session, paths: Iterable[ProjectPath], coverage: Coverage) -> list[ProjectPath]:
    """The projects that paths and patterns name, each once, in order."""
    found: dict[ProjectPath, None] = {}
    asked = list(paths)
    if not asked:
        raise UsageError("name at least one project, as entity/project or entity/*")
    for path in asked:
        if not any(sign in path.project for sign in "*?["):
            found[path] = None
            continue
        try:
            names = [project.name for project in iter_projects(session, path.entity)]
        except NotFound as error:
            coverage.not_visible[str(path)] = str(error)
            continue
        matching = [name for name in names if fnmatchcase(name, path.project)]
        if not matching:
            coverage.not_visible[str(path)] = (
                f"no visible project of {path.entity!r} matches {path.project!r}"
            )
        found.update(dict.fromkeys(ProjectPath(path.entity, name) for name in matching))
    return list(found)
