"""Where a version came from and what became of it: runs and versions, walked fully, as rows or Mermaid."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from wbgql.artifacts import CreatedByRun, Version
from wbgql.documents import Identified, NamedObject, NamedProject, Operation, Result
from wbgql.errors import NotFound, UsageError
from wbgql.frames.arrays import arrow
from wbgql.paths import RunPath
from wbgql.wire.connection import Connection, PageInfo, iter_nodes
from wbgql.wire.session import Session

Direction = Literal["up", "down", "both"]
Kind = Literal["logged", "used"]

_PAGE = 100


class _User(Result, frozen=True):
    username: str | None


class _ProjectName(Result, frozen=True):
    name: str
    entity_name: str


class LineageRun(Result, frozen=True):
    """A run in a lineage. `project` is null where this key cannot see it."""

    id: str
    name: str
    display_name: str | None
    state: str | None
    user: _User | None
    project: _ProjectName | None

    @property
    def path(self) -> RunPath | None:
        """Where the run is; None where its project is not visible."""
        if self.project is None:
            return None
        return RunPath(self.project.entity_name, self.project.name, self.name)


class _GetVersion(Result, frozen=True):
    artifact: Version | None


class _UsedBy(Identified, frozen=True, kw_only=True):
    used_by: Connection[LineageRun]


class _ListArtifactUsers(Result, frozen=True):
    artifact: _UsedBy | None


class _RunOf(NamedProject, frozen=True, kw_only=True):
    run: LineageRun | None


class _GetLineageRun(Result, frozen=True):
    project: _RunOf | None


class _RunVersions(NamedObject, frozen=True, kw_only=True):
    artifacts: Connection[Version] | None


class _VersionsOf(NamedProject, frozen=True, kw_only=True):
    run: _RunVersions | None


class _ListRunVersions(Result, frozen=True):
    project: _VersionsOf | None


GET_VERSION = Operation("GetVersion", _GetVersion)
GET_LINEAGE_RUN = Operation("GetLineageRun", _GetLineageRun)
LIST_ARTIFACT_USERS = Operation("ListArtifactUsers", _ListArtifactUsers, paged=True)
LIST_RUN_INPUTS = Operation("ListRunInputs", _ListRunVersions, paged=True)
LIST_RUN_OUTPUTS = Operation("ListRunOutputs", _ListRunVersions, paged=True)
OPERATIONS: tuple[Operation[Any], ...] = (
    GET_VERSION,
    GET_LINEAGE_RUN,
    LIST_ARTIFACT_USERS,
    LIST_RUN_INPUTS,
    LIST_RUN_OUTPUTS,
)


@dataclass(frozen=True, slots=True)
class Node:
    """A run or a version. `key` is its storage id, or the run's path; `gone`: it cannot be read any more."""

    key: str
    kind: Literal["run", "artifact"]
    label: str
    type: str | None = None
    state: str | None = None
    user: str | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """`logged`: a run made a version; `used`: a version went into a run. From the older to the newer.

    `depth` counts edges from where the walk began, negative where it went up.
    """

    source: str
    target: str
    kind: Kind
    depth: int


@dataclass(slots=True)
class Lineage:
    """What was walked. Nodes by key, edges in the order they were found, each once.

    `hidden` counts, by version, the runs that used it and that this key cannot see. `unwalked` are keys
    of nodes behind which there may be more: the depth ended there.
    """

    start: str
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    hidden: dict[str, int] = field(default_factory=dict)
    unwalked: set[str] = field(default_factory=set)

    def rows(self) -> list[dict[str, Any]]:
        """One row for each edge: from, from_kind, edge, to, to_kind, to_type, depth."""
        return [self._row(edge) for edge in self.edges]

    def to_arrow(self) -> Any:
        """The rows as a `pyarrow.Table`; zero rows have the same columns.

        Raises:
            ConfigError: pyarrow is not installed.
        """
        pa = arrow()
        columns = [(name, pa.string()) for name in ("from", "from_kind", "edge", "to", "to_kind", "to_type")]
        return pa.Table.from_pylist(self.rows(), schema=pa.schema([*columns, ("depth", pa.int64())]))

    def to_mermaid(self) -> str:
        """The lineage as Mermaid text: rounded runs, square versions, arrows from older to newer."""
        names = {key: f"n{number}" for number, key in enumerate(self.nodes)}
        lines = ["flowchart LR"]
        for key, node in self.nodes.items():
            opening, closing = ("([", "])") if node.kind == "run" else ("[", "]")
            lines.append(f'    {names[key]}{opening}"{escape_label(_label(node))}"{closing}')
            if node.gone:
                lines.append(f"    class {names[key]} gone")
        for edge in self.edges:
            lines.append(f"    {names[edge.source]} -->|{edge.kind}| {names[edge.target]}")
        if any(node.gone for node in self.nodes.values()):
            lines.append("    classDef gone stroke-dasharray: 4 4")
        if self.start in names:
            lines.append(f"    style {names[self.start]} stroke-width:3px")
        return "\n".join(lines) + "\n"

    def _row(self, edge: Edge) -> dict[str, Any]:
        source, target = self.nodes[edge.source], self.nodes[edge.target]
        return {
            "from": source.label,
            "from_kind": source.kind,
            "edge": edge.kind,
            "to": target.label,
            "to_kind": target.kind,
            "to_type": target.type,
            "depth": edge.depth,
        }


def walk_lineage(
    session: Session, start: Version | RunPath, *, depth: int | None = None, direction: Direction = "both"
) -> Lineage:
    """Walk the ancestors (`up`) and descendants (`down`) of a version or run, breadth first.

    `depth` counts edges: 1 is the runs next to a version, 2 what those runs used and made; None walks
    to the end. Each node is walked once, so circles end. Only ancestors of ancestors and descendants
    of descendants: what else a parent made is not followed. Sends one request (and one more for each
    100 runs or versions) for each node below the last depth.

    Raises:
        UsageError: a depth below 1.
        NotFound: the run that was named is missing or not visible.
    """
    if depth is not None and depth < 1:
        raise UsageError(f"depth must be at least 1, not {depth!r}")
    if direction not in ("up", "down", "both"):
        raise UsageError(f"direction must be 'up', 'down' or 'both', not {direction!r}")
    first = _named_run(session, start) if isinstance(start, RunPath) else start
    walk = _Walk(session, Lineage(_key(first)), depth)
    walk.add(first)
    if direction != "down":
        walk.go(first, "up")
    if direction != "up":
        walk.go(first, "down")
    return walk.found


def get_version(session: Session, artifact_id: str) -> Version:
    """Return one version by its id, as lineage wants it. One request.

    Raises:
        NotFound: missing, or not visible.
    """
    version = session.execute(GET_VERSION, id=artifact_id).artifact
    if version is None:
        raise NotFound(f"no artifact {artifact_id!r}, or not visible to this key", operation=GET_VERSION.name)
    return version


def iter_users(session: Session, artifact_id: str) -> Iterator[LineageRun]:
    """Yield the runs that used a version, all of them, lazily, one request for each 100.

    Raises:
        NotFound: the version is missing or not visible.

    Source: the SDK's `Artifact.used_by()` reads one page only (wandb SDK 0.31.0, 2026-11).
    """
    return iter_nodes(
        lambda first, after: _users_page(session, artifact_id, first, after),
        changes=session.changes,
        page_size=_PAGE,
        key=lambda run: run.id,
        what=f"runs that used artifact {artifact_id!r}",
        counted=True,
    )


class _Walk:
    """Breadth first, one direction at a time, over one `Lineage`."""

    def __init__(self, session: Session, found: Lineage, depth: int | None) -> None:
        self.found = found
        self._session = session
        self._depth = depth
        self._edges: set[tuple[str, str, Kind]] = set()

    def add(self, thing: Version | LineageRun) -> bool:
        """Take in a node; False where it was known."""
        key = _key(thing)
        if key in self.found.nodes:
            return False
        self.found.nodes[key] = _node(thing)
        return True

    def go(self, start: Version | LineageRun, direction: Literal["up", "down"]) -> None:
        """Walk from `start`, which is in already."""
        waiting: deque[tuple[Version | LineageRun, int]] = deque([(start, 0)])
        walked = {_key(start)}
        while waiting:
            thing, depth = waiting.popleft()
            if depth == self._depth:
                self.found.unwalked.add(_key(thing))
                continue
            for other in self._next(thing, direction):
                self.add(other)
                self._connect(thing, other, direction, depth + 1)
                if _key(other) not in walked:
                    walked.add(_key(other))
                    waiting.append((other, depth + 1))

    def _connect(
        self, thing: Version | LineageRun, other: Version | LineageRun, direction: str, depth: int
    ) -> None:
        source, target = (thing, other) if direction == "down" else (other, thing)
        kind: Kind = "logged" if isinstance(target, Version) else "used"
        edge = Edge(_key(source), _key(target), kind, depth if direction == "down" else -depth)
        if (edge.source, edge.target, kind) not in self._edges:
            self._edges.add((edge.source, edge.target, kind))
            self.found.edges.append(edge)

    def _next(
        self, thing: Version | LineageRun, direction: Literal["up", "down"]
    ) -> Iterable[Version | LineageRun]:
        if isinstance(thing, Version):
            return self._creator(thing) if direction == "up" else self._users(thing)
        return self._versions(thing, LIST_RUN_INPUTS if direction == "up" else LIST_RUN_OUTPUTS)

    def _creator(self, version: Version) -> list[Version | LineageRun]:
        creator = version.created_by
        if not isinstance(creator, CreatedByRun) or creator.project is None:
            return []
        user = _User(username=creator.user.username) if creator.user else None
        home = _ProjectName(name=creator.project.name, entity_name=creator.project.entity_name)
        run = LineageRun(
            id=creator.id,
            name=creator.name,
            display_name=creator.display_name,
            state=creator.state,
            user=user,
            project=home,
        )
        return [run]

    def _users(self, version: Version) -> Iterator[LineageRun]:
        totals: list[int | None] = [None]
        hidden: list[int] = []
        count = 0

        def fetch(first: int, after: str | None) -> Connection[LineageRun]:
            page = _users_page(self._session, version.id, first, after)
            totals[0] = page.total_count or None
            return page

        for run in iter_nodes(
            fetch,
            changes=self._session.changes,
            page_size=_PAGE,
            key=lambda one: one.id,
            on_hidden=hidden.append,
        ):
            count += 1
            yield run
        unseen = max(sum(hidden), (totals[0] or 0) - count)
        if unseen:
            self.found.hidden[version.id] = unseen

    def _versions(self, run: LineageRun, operation: Operation[_ListRunVersions]) -> Iterator[Version]:
        path = run.path
        if path is None:
            return iter(())

        def fetch(first: int, after: str | None) -> Connection[Version]:
            project = self._session.execute(
                operation, entity=path.entity, project=path.project, run=path.run_id, first=first, after=after
            ).project
            if project is None or project.run is None or project.run.artifacts is None:
                # Deleted while the walk was on its way here: what was known of it stays.
                self.found.nodes[_key(run)] = replace(self.found.nodes[_key(run)], gone=True)
                return Connection(edges=[], page_info=PageInfo(has_next_page=False))
            return project.run.artifacts

        return iter_nodes(
            fetch,
            changes=self._session.changes,
            page_size=_PAGE,
            key=lambda version: version.id,
            what=f"artifact versions of run {str(path)!r}",
            counted=True,
        )


def escape_label(text: str) -> str:
    """Make a text safe inside a quoted Mermaid label: its own signs become entities, lines one line."""
    one_line = re.sub(r"\s+", " ", "".join(char if char.isprintable() else " " for char in text)).strip()
    return "".join(f"#{ord(char)};" if char in _SPECIAL else char for char in one_line)


_SPECIAL = frozenset('"#&<>`;%\\')


def _users_page(session: Session, artifact_id: str, first: int, after: str | None) -> Connection[LineageRun]:
    artifact = session.execute(LIST_ARTIFACT_USERS, id=artifact_id, first=first, after=after).artifact
    if artifact is None:
        raise NotFound(
            f"no artifact {artifact_id!r}, or not visible to this key", operation=LIST_ARTIFACT_USERS.name
        )
    return artifact.used_by


def _named_run(session: Session, path: RunPath) -> LineageRun:
    project = session.execute(
        GET_LINEAGE_RUN, entity=path.entity, project=path.project, run=path.run_id
    ).project
    if project is None or project.run is None:
        raise NotFound.run(path, operation=GET_LINEAGE_RUN.name)
    return project.run


def _key(thing: Version | LineageRun) -> str:
    if isinstance(thing, Version):
        return thing.id
    return str(thing.path or thing.id)


def _node(thing: Version | LineageRun) -> Node:
    if isinstance(thing, Version):
        label, gone = thing.path or thing.name, thing.state == "DELETED"
        return Node(thing.id, "artifact", label, thing.type, thing.state, thing.user, gone)
    user = thing.user.username if thing.user else None
    label = str(thing.path or thing.name)
    return Node(_key(thing), "run", label, None, thing.state, user)


def _label(node: Node) -> str:
    details = [part for part in (node.type, node.state if node.kind == "run" else None) if part]
    return f"{node.label} ({', '.join(details)})" if details else node.label
