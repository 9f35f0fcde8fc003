"""Reads many runs with all that hangs on them, a page of runs for each request."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import msgspec

from wbgql.documents import NOT_FETCHED, Identified, NamedObject, NamedProject, Operation, Result
from wbgql.erasure.reading.facts import (
    GET_ARTIFACT_FACTS,
    NO_CHANGES,
    ByRun,
    ByUser,
    Id,
    Logged,
    Membership,
    Named,
    Output,
    RunFacts,
    RunState,
    VersionState,
    refuse_half,
    version_name,
)
from wbgql.errors import NotFound, UnstablePopulation
from wbgql.paths import ProjectPath, RunPath
from wbgql.scalars import dump_json
from wbgql.wire.connection import Begun, Connection, iter_nodes
from wbgql.wire.session import Session

T = TypeVar("T")

RUNS_PER_PAGE = 50
_OUTPUTS, _USERS, _ENTRIES, _FILES = 20, 5, 20, 50
_MORE = 500


class _Mark(Result, frozen=True):
    is_reference: bool = NOT_FETCHED


class OutputFacts(Logged, VersionState, frozen=True, kw_only=True):
    """One version that a run logged, with what decides over it. `size` in bytes."""

    artifact_type: Named
    created_by: ByRun | ByUser | None
    version_index: int | None
    size: int
    used_by: Connection[Id]
    files: Connection[_Mark] | None

    @property
    def name(self) -> str:
        """`collection:vN`, as the SDK writes it."""
        return version_name(self, self.version_index)

    @property
    def own_aliases(self) -> tuple[str, ...]:
        """Aliases that somebody gave it, without those of its links: they go with the links."""
        own, linked = (
            {
                alias.alias
                for member in self.memberships
                if self._is_own(member) == mine
                for alias in member.aliases
            }
            for mine in (True, False)
        )
        return tuple(alias for alias in self.given_aliases if alias in own or alias not in linked)

    @property
    def aliases_by_entity(self) -> set[tuple[str, str]]:
        """(entity, alias) for each alias that somebody gave it, in whatever collection."""
        return {
            (member.artifact_collection.project.entity_name, alias.alias)
            for member in self.memberships
            if member.artifact_collection and member.artifact_collection.project
            for alias in member.aliases
            if alias.alias in self.given_aliases
        }

    def to_output(self) -> Output:
        """The part of it that a run's fingerprint is over."""
        return Output(
            id=self.id, digest=self.digest, artifact_type=self.artifact_type, created_by=self.created_by
        )

    def _is_own(self, membership: Membership) -> bool:
        collection = membership.artifact_collection
        return collection is not None and collection.id == self.artifact_sequence.id


class FileName(Result, frozen=True):
    """One file of a run."""

    id: str
    name: str
    size_bytes: int


class _Files(NamedObject, frozen=True, kw_only=True):
    files: Connection[FileName] | None


class _Outputs(NamedObject, frozen=True, kw_only=True):
    outputs: Connection[OutputFacts] | None


class _RunNode(RunState, frozen=True, kw_only=True):
    outputs: Connection[OutputFacts] | None
    files: Connection[FileName] | None = NOT_FETCHED


class _Runs(NamedProject, frozen=True, kw_only=True):
    runs: Connection[_RunNode] | None


class _ListRunFacts(Result, frozen=True):
    project: _Runs | None


class _OutputsOfRun(NamedProject, frozen=True, kw_only=True):
    run: _Outputs | None


class _ListOutputFacts(Result, frozen=True):
    project: _OutputsOfRun | None


class _FilesOfRun(NamedProject, frozen=True, kw_only=True):
    run: _Files | None


class _ListRunFileNames(Result, frozen=True):
    project: _FilesOfRun | None


class _Marks(Identified, frozen=True, kw_only=True):
    files: Connection[_Mark] | None


class _ListReferenceMarks(Result, frozen=True):
    artifact: _Marks | None


LIST_RUN_FACTS = Operation("ListRunFacts", _ListRunFacts, paged=True, names="refuse")
LIST_OUTPUT_FACTS = Operation("ListOutputFacts", _ListOutputFacts, paged=True, names="refuse")
LIST_RUN_FILE_NAMES = Operation("ListRunFileNames", _ListRunFileNames, paged=True, names="refuse")
LIST_REFERENCE_MARKS = Operation("ListReferenceMarks", _ListReferenceMarks, paged=True)
OPERATIONS: tuple[Operation[Any], ...] = (
    LIST_RUN_FACTS,
    LIST_OUTPUT_FACTS,
    LIST_RUN_FILE_NAMES,
    LIST_REFERENCE_MARKS,
)


class RunDetails(msgspec.Struct, frozen=True, kw_only=True):
    """One run with every version it logged and, where they were asked for, its files.

    `hidden_outputs`, `hidden_files`: how many came as null, or were counted and did not come.
    """

    facts: RunFacts
    outputs: tuple[OutputFacts, ...]
    files: tuple[FileName, ...] = ()
    hidden_outputs: int = 0
    hidden_files: int = 0


def read_details(
    session: Session, path: ProjectPath, run_ids: Sequence[str], *, with_files: bool = False
) -> Iterator[RunDetails]:
    """Yield runs of one project with all that hangs on them, oldest first in each page.

    One request for 50 runs, and one more for each 500 versions or files of a run beyond the first.

    Raises:
        UnstablePopulation: one of the runs is not there any more.
        NotFound: the project is missing or not visible.
    """
    waiting = iter(run_ids)
    while batch := list(islice(waiting, RUNS_PER_PAGE)):
        nodes = _read_page(session, path, batch, with_files=with_files)
        missing = set(batch) - {node.name for node in nodes}
        if missing:
            raise UnstablePopulation(
                f"{len(missing)} of the runs that matched in {str(path)!r} are gone now: plan again"
            )
        for node in nodes:
            yield _complete(session, path, node, with_files=with_files)


def read_file_ids(session: Session, path: RunPath) -> dict[str, str]:
    """Read which files a run has: names by id. One request for 500 files.

    Raises:
        UnstablePopulation: the run is not there any more.
    """
    names = {"entity": path.entity, "project": path.project, "run": path.run_id}

    def fetch(first: int, after: str | None) -> Connection[FileName]:
        project = session.execute(LIST_RUN_FILE_NAMES, **names, first=first, after=after).project
        run = project.run if project else None
        return _some(run.files if run else None, LIST_RUN_FILE_NAMES)

    return {
        file.id: file.name
        for file in iter_nodes(
            fetch,
            changes=NO_CHANGES,
            page_size=_MORE,
            key=lambda file: file.id,
            on_warning=refuse_half,
            on_hidden=lambda hidden: refuse_half(f"{hidden} files of run {str(path)!r} came as null"),
        )
    }


def read_users(session: Session, output: OutputFacts, planned: Collection[str]) -> list[str] | None:
    """Storage ids of the runs that use a version, if all of them are `planned`; else None.

    Looks on page by page until one is found that is not. One request for 500 users beyond the first five.
    """
    users: list[str] = []
    hidden: list[int] = []
    for run in _iter_users(session, output, hidden.append):
        if run.id not in planned:
            return None
        users.append(run.id)
    if hidden or (output.used_by.total_count or 0) > len(users):
        return None
    return users


def count_references(session: Session, output: OutputFacts) -> int | None:
    """How many files of a version lie elsewhere. One request per 500 files beyond the first 20.

    None if the server's schema does not mark them: that informs, and keeps nothing from being erased.
    """

    def fetch(first: int, after: str | None) -> Connection[_Mark]:
        found = session.execute(LIST_REFERENCE_MARKS, id=output.id, first=first, after=after).artifact
        return _some(found.files if found else None, LIST_REFERENCE_MARKS)

    if output.files is None:
        return 0
    marks = [mark.is_reference for mark in _go_on(output.files, fetch, None, lambda _hidden: None)]
    return None if NOT_FETCHED in marks else sum(marks)


def _iter_users(session: Session, output: OutputFacts, on_hidden: Callable[[int], object]) -> Iterator[Id]:
    def fetch(first: int, after: str | None) -> Connection[Id]:
        found = session.execute(GET_ARTIFACT_FACTS, id=output.id, first=first, after=after).artifact
        return _some(found.used_by if found else None, GET_ARTIFACT_FACTS)

    return _go_on(output.used_by, fetch, lambda run: run.id, on_hidden)


def _read_page(
    session: Session, path: ProjectPath, run_ids: Sequence[str], *, with_files: bool
) -> list[_RunNode]:
    filters = dump_json({"name": {"$in": list(run_ids)}})

    def fetch(first: int, after: str | None) -> Connection[_RunNode]:
        project = session.execute(
            LIST_RUN_FACTS,
            entity=path.entity,
            project=path.project,
            filters=filters,
            outputs=_OUTPUTS,
            users=_USERS,
            entries=_ENTRIES,
            files=_FILES,
            withFiles=with_files,
            first=first,
            after=after,
        ).project
        if project is None or project.runs is None:
            raise NotFound.project(path, operation=LIST_RUN_FACTS.name)
        return project.runs

    wanted = set(run_ids)
    nodes = iter_nodes(
        fetch,
        changes=session.changes,
        page_size=RUNS_PER_PAGE,
        key=lambda node: node.id,
        on_warning=refuse_half,
        on_hidden=lambda hidden: refuse_half(f"{hidden} of the planned runs of {str(path)!r} came as null"),
    )
    return [node for node in nodes if node.name in wanted]


def _complete(session: Session, path: ProjectPath, node: _RunNode, *, with_files: bool) -> RunDetails:
    run_path = RunPath(path.entity, path.project, node.name)
    names = {"entity": path.entity, "project": path.project, "run": node.name}

    def fetch_outputs(first: int, after: str | None) -> Connection[OutputFacts]:
        project = session.execute(
            LIST_OUTPUT_FACTS, **names, users=_USERS, entries=_ENTRIES, first=first, after=after
        ).project
        run = project.run if project else None
        return _some(run.outputs if run else None, LIST_OUTPUT_FACTS)

    def fetch_files(first: int, after: str | None) -> Connection[FileName]:
        project = session.execute(LIST_RUN_FILE_NAMES, **names, first=first, after=after).project
        run = project.run if project else None
        return _some(run.files if run else None, LIST_RUN_FILE_NAMES)

    start = _some(node.outputs, LIST_RUN_FACTS)
    hidden_outputs: list[int] = []
    hidden_files: list[int] = []
    outputs = tuple(_go_on(start, fetch_outputs, lambda output: output.id, hidden_outputs.append))
    files: tuple[FileName, ...] = ()
    if with_files:
        listed = _some(node.files, LIST_RUN_FACTS)
        files = tuple(_go_on(listed, fetch_files, lambda file: file.id, hidden_files.append))
    facts = RunFacts(path=run_path, run=node, outputs=tuple(output.to_output() for output in outputs))
    return RunDetails(
        facts=facts,
        outputs=outputs,
        files=files,
        hidden_outputs=sum(hidden_outputs),
        hidden_files=sum(hidden_files),
    )


def _go_on(
    start: Connection[T],
    fetch: Callable[[int, str | None], Connection[T]],
    key: Callable[[T], str] | None,
    on_hidden: Callable[[int], object],
) -> Iterator[T]:
    """Yield the nodes of a page that came nested, then those of the pages behind it."""
    return iter_nodes(
        fetch,
        changes=NO_CHANGES,
        page_size=_MORE,
        key=key,
        begun=Begun(start, NO_CHANGES.count),
        counted=True,
        on_warning=refuse_half,
        on_hidden=on_hidden,
    )


def _some(found: T | None, operation: Operation[Any]) -> T:
    if found is None:
        raise UnstablePopulation(f"{operation.name}: what is being read vanished meanwhile: plan again")
    return found
