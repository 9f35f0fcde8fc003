"""Runs of a project: a lazy selection that the server filters, orders and projects, and one run."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Literal

from wbgql.connection import Connection, iter_nodes
from wbgql.documents import Operation, Result
from wbgql.errors import (
    FilterError,
    FilterWarning,
    NotFound,
    ResponseError,
    UnknownKeyWarning,
    UsageError,
)
from wbgql.expressions import (
    Expr,
    Field,
    FieldPath,
    Order,
    compile_filter,
    compile_order,
    fields_of,
    parse_expression,
    parse_field,
    parse_order,
)
from wbgql.filters import lint_filter
from wbgql.paths import ProjectPath, RunPath
from wbgql.projects import find_fields
from wbgql.scalars import dump_json, parse_datetime, parse_json
from wbgql.session import Session

# The largest page W&B serves (its own advice for scripts, 2026).
MAX_PAGE_SIZE = 1000
DEFAULT_ORDER = "+created_at"
# While a run is in one of these states its SDK process holds config, summary and tags in memory and
# writes them whole when it finishes, over whatever was changed meanwhile.
LOGGING_STATES = frozenset({"running", "preempting"})


class _User(Result, frozen=True):
    username: str | None


class RunNode(Result, frozen=True):
    """One run as it travels. `config` and `summary_metrics` are JSON texts, null unless asked for."""

    id: str
    name: str
    display_name: str | None
    state: str | None
    tags: list[str] | None
    group: str | None
    job_type: str | None
    sweep_name: str | None
    created_at: str
    heartbeat_at: str | None
    user: _User | None
    config: str | None = None
    summary_metrics: str | None = None
    notes: str | None = None


class _RunsOf(Result, frozen=True):
    runs: Connection[RunNode] | None


class _ListRuns(Result, frozen=True):
    project: _RunsOf | None


class _RunCount(Result, frozen=True):
    run_count: int


class _CountRuns(Result, frozen=True):
    project: _RunCount | None


class _RunOf(Result, frozen=True):
    run: RunNode | None


class _GetRun(Result, frozen=True):
    project: _RunOf | None


class _Id(Result, frozen=True):
    id: str
    name: str


class _IdsOf(Result, frozen=True):
    runs: Connection[_Id] | None


class _ListRunIds(Result, frozen=True):
    project: _IdsOf | None


LIST_RUNS = Operation("ListRuns", _ListRuns, paged=True)
COUNT_RUNS = Operation("CountRuns", _CountRuns)
GET_RUN = Operation("GetRun", _GetRun)
LIST_RUN_IDS = Operation("ListRunIds", _ListRunIds, paged=True)
OPERATIONS: tuple[Operation[Any], ...] = (LIST_RUNS, COUNT_RUNS, GET_RUN, LIST_RUN_IDS)

Where = Expr | str | None
OrderLike = Order | Field | str | None
Select = Sequence[Field | str] | Literal["*"]


class AmbiguousName(UsageError, AttributeError):
    """`run.name` means the id to GraphQL and the label to people; neither is guessed."""


class Run:
    """One run. Holds what was asked for and sends nothing of its own accord.

    `id` is the id in the run's URL, `display_name` the label people see, `storage_id` the opaque id that
    mutations take. `config` and `summary` hold the selected keys only.
    """

    __slots__ = ("_config", "_node", "_summary", "path")

    def __init__(self, node: RunNode, project: ProjectPath) -> None:
        self._node = node
        self._config: dict[str, Any] | None = None
        self._summary: dict[str, Any] | None = None
        self.path = RunPath(project.entity, project.project, node.name)

    @property
    def id(self) -> str:
        """The id in the run's URL (GraphQL's `name`)."""
        return self._node.name

    @property
    def storage_id(self) -> str:
        """The opaque id that mutations take (GraphQL's `id`). It spells out entity, project and run."""
        return self._node.id

    @property
    def name(self) -> str:
        """Raises: GraphQL and the SDK mean different things by it."""
        raise AmbiguousName("run.name is ambiguous: use run.id (in the URL) or run.display_name (the label)")

    @property
    def display_name(self) -> str | None:
        """The label people see."""
        return self._node.display_name

    @property
    def state(self) -> str | None:
        """running, finished, crashed, failed, killed, pending, preempting or preempted."""
        return self._node.state

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags in the server's order; none is an empty tuple."""
        return tuple(self._node.tags or ())

    @property
    def group(self) -> str | None:
        """Group the run was logged under."""
        return self._node.group

    @property
    def job_type(self) -> str | None:
        """Job type the run was logged under."""
        return self._node.job_type

    @property
    def sweep(self) -> str | None:
        """Id of the sweep the run belongs to."""
        return self._node.sweep_name

    @property
    def user(self) -> str | None:
        """Login name of the creator; None where the server does not say."""
        return self._node.user.username if self._node.user else None

    @property
    def notes(self) -> str | None:
        """Notes; None also where they were not asked for (lists leave them out)."""
        return self._node.notes

    @property
    def created_at(self) -> datetime:
        """When the run was created, in UTC."""
        return parse_datetime(self._node.created_at)

    @property
    def heartbeat_at(self) -> datetime | None:
        """When the run was last heard of, in UTC."""
        return parse_datetime(self._node.heartbeat_at) if self._node.heartbeat_at else None

    @property
    def config(self) -> dict[str, Any]:
        """Selected config keys, without W&B's `value` wrapper and its internal `_wandb` key."""
        if self._config is None:
            wrapped = parse_json(self._node.config) if self._node.config else {}
            self._config = {key: _unwrap(value) for key, value in wrapped.items() if key != "_wandb"}
        return self._config

    @property
    def raw_config(self) -> str | None:
        """The config text as the server sent it, wrapper and internal keys included."""
        return self._node.config

    @property
    def summary(self) -> dict[str, Any]:
        """Selected summary keys. NaN may come as a float or as the string the server stores."""
        if self._summary is None:
            self._summary = parse_json(self._node.summary_metrics) if self._node.summary_metrics else {}
        return self._summary

    def __getitem__(self, field: Field) -> Any:
        """Return the value of a field, None where the run has none (or it was not selected).

        A key of config or summary that holds a dot is looked up as it is first, then as nesting.
        """
        if not isinstance(field, Field):
            raise UsageError(f"index a run with a field such as wb.summary['loss'], not {field!r}")
        section, parts = field.path.section, field.path.parts
        if section == "run":
            if not hasattr(type(self), parts[0]):
                raise UsageError(f"run.{parts[0]} can be filtered by, but lists of runs do not bring it")
            return getattr(self, parts[0])
        return _dig(self.config if section == "config" else self.summary, parts)

    def to_document(self) -> dict[str, Any]:
        """The run under the names that filters use, for `expressions.matches`."""
        return {
            "name": self.id,
            "displayName": self.display_name,
            "state": self.state,
            "tags": list(self.tags),
            "createdAt": self._node.created_at,
            "heartbeatAt": self._node.heartbeat_at,
            "group": self.group,
            "jobType": self.job_type,
            "username": self.user,
            "sweep": self.sweep,
            "config": self.config,
            "summary_metrics": self.summary,
        }

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, state={self.state!r})"


class RunSelection:
    """Runs of one project that match, lazily. Every iteration asks the server anew.

    Cost: nothing until used; iterating sends ceil(n / page_size) requests, `count` and `first` one each.
    `where` times such as `ago("7d")` are frozen when the selection is made.
    """

    def __init__(
        self,
        session: Session,
        path: ProjectPath,
        *,
        where: Where = None,
        order: OrderLike = None,
        select: Select = (),
        limit: int | None = None,
        filters: Mapping[str, Any] | None = None,
        page_size: int = MAX_PAGE_SIZE,
        now: datetime | None = None,
    ) -> None:
        self.path = path
        self.limit = _checked_limit(limit)
        self.page_size = _checked_page_size(page_size)
        self.where = _as_expr(where)
        self.order = _as_order(order)
        self.select: Select = "*" if select == "*" else tuple(_as_field(field) for field in select)
        self.filters = self._compile(filters, now or datetime.now(UTC))
        self._session = session

    def __iter__(self) -> Iterator[Run]:
        """Yield the runs, page by page, each once.

        Raises:
            NotFound: the project is missing or not visible.
            FilterError: the server fails on the filter and answers without it.
        """
        return self._iter(self.limit)

    def first(self) -> Run | None:
        """Return the first run, or None. One request for one run."""
        return next(self._iter(1), None)

    def ids(self) -> list[str]:
        """Return the ids of all runs that match (and fall under the limit), in order."""
        return [run.id for run in self]

    def count(self) -> int:
        """Return how many runs match on the server, whatever the limit. One request.

        Raises:
            NotFound: the project is missing or not visible.
        """
        project = self._session.execute(
            COUNT_RUNS, entity=self.path.entity, project=self.path.project, filters=dump_json(self.filters)
        ).project
        if project is None:
            raise NotFound.project(self.path, operation=COUNT_RUNS.name)
        if project.run_count == 0:
            self._warn_of_unknown_keys()
        return project.run_count

    def unknown_keys(self, known: Iterable[str]) -> dict[str, list[str]]:
        """Keys this selection names that are not among `known` paths, each with its nearest names.

        `known` are paths as `projects.find_fields` gives them (`summary_metrics.val/acc`).
        """
        paths = set(known)
        labels = dict(map(_name_and_label, sorted(paths)))
        missing = [path for path in self._paths() if path.section != "run" and not _is_known(path, paths)]
        return {
            str(path): [labels[name] for name in get_close_matches(".".join(path.parts), labels, cutoff=0.6)]
            for path in missing
        }

    def variables(self, first: int, after: str | None) -> dict[str, Any]:
        """What is sent for one page."""
        everything = self.select == "*"
        fields = () if everything else self.select
        config = _top_keys(fields, "config")
        summary = _top_keys(fields, "summary")
        return {
            "entity": self.path.entity,
            "project": self.path.project,
            "filters": dump_json(self.filters),
            "order": compile_order(self.order) if self.order is not None else DEFAULT_ORDER,
            "first": first,
            "after": after,
            "withConfig": everything or bool(config),
            "configKeys": config or None,
            "withSummary": everything or bool(summary),
            "summaryKeys": summary or None,
        }

    def _iter(self, limit: int | None) -> Iterator[Run]:
        found = False
        page_size = self.page_size if limit is None else max(1, min(self.page_size, limit))
        nodes = iter_nodes(self._fetch, page_size=page_size, limit=limit, key=lambda node: node.id)
        for node in nodes:
            found = True
            yield Run(node, self.path)
        if not found and limit != 0:
            self._warn_of_unknown_keys()

    def _fetch(self, first: int, after: str | None) -> Connection[RunNode]:
        try:
            return self._page(self.variables(first, after))
        except ResponseError as error:
            if error.status == 500 and after is None and self.filters:
                self._blame_the_filter(error)
            raise

    def _page(self, variables: dict[str, Any]) -> Connection[RunNode]:
        project = self._session.execute(LIST_RUNS, **variables).project
        if project is None or project.runs is None:
            raise NotFound.project(self.path, operation=LIST_RUNS.name)
        return project.runs

    def _blame_the_filter(self, error: ResponseError) -> None:
        # W&B answers some filters (a list compared with tags, $all) with a 500 that no repetition mends:
        # wandb/wandb#4068, #5967. One plain request tells the filter's fault from the server's.
        try:
            self._page({**self.variables(1, None), "filters": "{}"})
        except ResponseError:
            return
        raise FilterError(
            f"the server fails on this filter (HTTP 500) and answers without it: {dump_json(self.filters)}"
        ) from error

    def _compile(self, filters: Mapping[str, Any] | None, now: datetime) -> dict[str, Any]:
        if filters is None:
            return compile_filter(self.where, now=now)
        if self.where is not None:
            raise UsageError("give `where` (an expression) or `filters` (a dict), not both")
        for warning in lint_filter(filters):
            warnings.warn(warning, FilterWarning, stacklevel=4)
        return dict(filters)

    def _paths(self) -> list[FieldPath]:
        """What the filter and the order look at."""
        paths = set(fields_of(self.where)) if self.where is not None else set()
        if self.order is not None:
            paths.add(self.order.path)
        return sorted(paths, key=str)

    def _warn_of_unknown_keys(self) -> None:
        if all(path.section == "run" for path in self._paths()):
            return
        known = find_fields(self._session, self.path)
        if known is None:
            return
        for key, near in self.unknown_keys(known).items():
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            message = f"no run of {str(self.path)!r} has {key}{hint}"
            warnings.warn(UnknownKeyWarning(message, near), stacklevel=3)


def get_run(session: Session, path: RunPath) -> Run:
    """Return one run, with its whole config, summary and notes. One request.

    Raises:
        NotFound: the run or its project is missing or not visible.
    """
    project = session.execute(GET_RUN, entity=path.entity, project=path.project, run=path.run_id).project
    if project is None:
        raise NotFound.project(path.project_path, operation=GET_RUN.name)
    if project.run is None:
        raise NotFound.run(path, operation=GET_RUN.name)
    return Run(project.run, path.project_path)


def list_run_ids(
    session: Session, path: ProjectPath, filters: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Return {run id: storage id} of the runs that match `filters`, all by default.

    Sends ceil(n / 1000) requests.

    Raises:
        NotFound: the project is missing or not visible.
    """

    def fetch(first: int, after: str | None) -> Connection[_Id]:
        project = session.execute(
            LIST_RUN_IDS,
            entity=path.entity,
            project=path.project,
            filters=dump_json(dict(filters or {})),
            order=DEFAULT_ORDER,
            first=first,
            after=after,
        ).project
        if project is None or project.runs is None:
            raise NotFound.project(path, operation=LIST_RUN_IDS.name)
        return project.runs

    nodes = iter_nodes(fetch, page_size=MAX_PAGE_SIZE, key=lambda node: node.id)
    return {node.name: node.id for node in nodes}


def _as_expr(where: Where) -> Expr | None:
    if where is None or isinstance(where, Expr):
        return where
    if isinstance(where, str):
        return parse_expression(where)
    raise FilterError(
        f"`where` wants an expression such as wb.summary['acc'] > 0.9, or its text, not {where!r}; "
        "combine expressions with & | ~"
    )


def _as_order(order: OrderLike) -> Order | None:
    if order is None or isinstance(order, Order):
        return order
    if isinstance(order, Field):
        return +order
    if isinstance(order, str):
        return parse_order(order)
    raise FilterError(f"`order` wants a field such as -wb.summary['acc'], or its text, not {order!r}")


def _as_field(field: Field | str) -> Field:
    if isinstance(field, Field):
        return field
    if isinstance(field, str):
        return parse_field(field)
    raise FilterError(f"`select` wants fields such as wb.summary['acc'], or their text, not {field!r}")


def _checked_limit(limit: int | None) -> int | None:
    if limit is not None and limit < 0:
        raise UsageError(f"limit must not be negative, not {limit!r}")
    return limit


def _checked_page_size(page_size: int) -> int:
    if not 1 <= page_size <= MAX_PAGE_SIZE:
        raise UsageError(f"page_size must be from 1 to {MAX_PAGE_SIZE}, not {page_size!r}")
    return page_size


def _top_keys(fields: Sequence[Field | str], section: str) -> list[str]:
    paths = [field.path for field in fields if isinstance(field, Field)]
    return list(dict.fromkeys(path.parts[0] for path in paths if path.section == section))


def _dig(values: Any, parts: Sequence[str]) -> Any:
    found = _walk(values, parts)
    if found is None and any("." in part for part in parts):
        return _walk(values, ".".join(parts).split("."))
    return found


def _walk(values: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _unwrap(value: Any) -> Any:
    return value["value"] if isinstance(value, dict) and "value" in value else value


def _is_known(wanted: FieldPath, paths: set[str]) -> bool:
    """Is the field, or something below it, among the project's paths?

    Source: paths look like `summary_metrics.val/loss` and `config.lr.value` (W&B's MCP server, 2026).
    """
    section = "summary_metrics" if wanted.section == "summary" else "config"
    flat = ".".join((section, *wanted.parts))
    wrapped = ".".join((section, wanted.parts[0], "value", *wanted.parts[1:]))
    return any(path == base or path.startswith(f"{base}.") for path in paths for base in (flat, wrapped))


def _name_and_label(path: str) -> tuple[str, str]:
    """Split a server path into the bare key and the way an expression writes it."""
    section, _, key = path.partition(".")
    if section == "summary_metrics":
        return key, f"summary[{dump_json(key)}]"
    if section == "config":
        key = key.replace(".value", "", 1)
        return key, f"config[{dump_json(key)}]"
    return path, path
