"""One run: what was asked for of it, under the names that people use."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, NoReturn, Self, TypeVar

from wbgql.documents import NOT_FETCHED
from wbgql.errors import NotFetched, NotFound, NotServed, ResultError, UsageError
from wbgql.expressions import RUN_KEYS, Field
from wbgql.frames.decoding import dig
from wbgql.paths import ProjectPath, RunPath
from wbgql.runs.nodes import GET_RUN, RunNode, read_instant, real_path
from wbgql.runs.projections import DETAILS, EVERYTHING, Projection
from wbgql.wire.session import Session

# Mappings that hold a part of a run, and say so: a key that was not fetched raises.

_PYTHON_NAMES = {key: name for name, key in RUN_KEYS.items()} | {"summary_metrics": "summary"}


class Partial(dict[str, Any]):
    """A dict that knows which keys were not fetched.

    `[key]`, `.get`, `in`, `.pop` and `.setdefault` raise `NotFetched` for a key that was not fetched.
    Iterating, `len`, `==`, `|` and JSON see the fetched keys. `dict(...)` gives a plain dict of them.
    """

    __slots__ = ()

    @abstractmethod
    def require(self, key: object) -> None:
        """Raise `NotFetched` if `key` was not fetched."""

    def __missing__(self, key: str) -> NoReturn:
        self.require(key)
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        if dict.__contains__(self, key):
            return True
        self.require(key)
        return False

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key that was fetched, or `default` if the run has none."""
        if not dict.__contains__(self, key):
            self.require(key)
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        """Remove a key that was fetched and return its value."""
        if not dict.__contains__(self, key):
            self.require(key)
        return super().pop(key, *default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of a key that was fetched; set it if the run has none."""
        if not dict.__contains__(self, key):
            self.require(key)
        return super().setdefault(key, default)


class Selected(Partial):
    """The selected keys of a run's config or summary."""

    __slots__ = ("_asked", "_path", "_section")

    _asked: tuple[str, ...]
    _path: RunPath
    _section: str

    @classmethod
    def of(cls, values: dict[str, Any], section: str, asked: tuple[str, ...], path: RunPath) -> Self:
        """Wrap the values that came for the keys `asked`."""
        made = cls(values)  # without an __init__ in Python: lists make two of these for each run
        made._section, made._asked, made._path = section, asked, path
        return made

    def require(self, key: object) -> None:
        """Raise `NotFetched` unless `select` named the key."""
        if key not in self._asked:
            raise NotFetched.key(self._path, self._section, key)

    def copy(self) -> Self:
        """Return a copy that knows the same keys."""
        return self.of(self, self._section, self._asked, self._path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({super().__repr__()}, asked={list(self._asked)})"


class Document(Partial):
    """A run under the names that filters use; attributes that were not fetched are known."""

    __slots__ = ("_refusal", "_unfetched")

    _refusal: Callable[[str], NotFetched]
    _unfetched: tuple[str, ...]

    @classmethod
    def of(cls, values: Mapping[str, Any], refusal: Callable[[str], NotFetched]) -> Self:
        """Wrap the values that came. None is left out; `refusal` makes the error for `NOT_FETCHED`."""
        made = cls(
            {key: value for key, value in values.items() if value is not None and value is not NOT_FETCHED}
        )
        made._unfetched = tuple([key for key, value in values.items() if value is NOT_FETCHED])
        made._refusal = refusal
        return made

    def require(self, key: object) -> None:
        """Raise `NotFetched` if the attribute or section was not fetched."""
        if key in self._unfetched:
            raise self._refusal(_PYTHON_NAMES[str(key)])


T = TypeVar("T")


class AmbiguousName(UsageError, AttributeError):
    """`run.name` means the id to GraphQL and the label to people; neither is guessed."""


class Run:
    """One run. Holds what was fetched and sends no request.

    `id` is the id in the run's URL, `display_name` the label people see, `storage_id` the opaque id that
    mutations take. `client.run(...)` fetches everything. A list fetches the attributes except `notes`,
    `host`, `duration_s` and `updated_at`, which `select` must name, and the selected keys of `config` and
    `summary`. Reading anything that was not fetched raises `NotFetched`, or `NotServed` if the server's
    schema lacks it; None means that the run has none.
    """

    __slots__ = ("_config", "_node", "_projection", "_summary", "path")

    def __init__(self, node: RunNode, project: ProjectPath, projection: Projection = EVERYTHING) -> None:
        self._node = node
        self._projection = projection
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
        return self._fetched("display_name", self._node.display_name)

    @property
    def state(self) -> str | None:
        """running, finished, crashed, failed, killed, pending, preempting or preempted."""
        return self._fetched("state", self._node.state)

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags in the server's order; none is an empty tuple."""
        tags = self._fetched("tags", self._node.tags)
        return tuple(tags or ())

    @property
    def group(self) -> str | None:
        """Group the run was logged under."""
        return self._fetched("group", self._node.group)

    @property
    def job_type(self) -> str | None:
        """Job type the run was logged under."""
        return self._fetched("job_type", self._node.job_type)

    @property
    def sweep(self) -> str | None:
        """Id of the sweep the run belongs to."""
        return self._fetched("sweep", self._node.sweep_name)

    @property
    def user(self) -> str | None:
        """Login name of the creator; None where the server does not say."""
        user = self._fetched("user", self._node.user)
        return user.username if user else None

    @property
    def notes(self) -> str | None:
        """Notes. A list fetches them only if they are selected."""
        return self._fetched("notes", self._node.notes)

    @property
    def host(self) -> str | None:
        """Host that logged the run. A list fetches it only if it is selected."""
        return self._fetched("host", self._node.host)

    @property
    def duration_s(self) -> int | None:
        """Seconds the run computed for. A list fetches it only if it is selected."""
        return self._fetched("duration_s", self._node.compute_seconds)

    @property
    def updated_at(self) -> datetime | None:
        """When the run was last changed, in UTC. A list fetches it only if it is selected."""
        text = self._fetched("updated_at", self._node.updated_at)
        return read_instant(self.path, "updated_at", text) if text else None

    @property
    def created_at(self) -> datetime:
        """When the run was created, in UTC."""
        return read_instant(self.path, "created_at", self._node.created_at)

    @property
    def heartbeat_at(self) -> datetime | None:
        """When the run was last heard of, in UTC."""
        text = self._fetched("heartbeat_at", self._node.heartbeat_at)
        return read_instant(self.path, "heartbeat_at", text) if text else None

    @property
    def config(self) -> dict[str, Any]:
        """Selected config keys, without W&B's `value` wrapper and its internal `_wandb` key.

        If `select` named some keys, reading another one raises `NotFetched`, also with `.get` and `in`.

        Raises:
            ResultError: the server sent what nobody can read; `raw_config` has it.
        """
        if self._config is None:
            self._config = self._read("config", self.raw_config, self._projection.read_config)
        return self._config

    @property
    def raw_config(self) -> str | None:
        """The config text as the server sent it, wrapper and internal keys included."""
        return self._fetched("config", self._config_text)

    @property
    def summary(self) -> dict[str, Any]:
        """Selected summary keys, as `config`. NaN and infinities are floats, here and in `config`."""
        if self._summary is None:
            text = self._fetched("summary", self._summary_text)
            self._summary = self._read("summary", text, self._projection.read_summary)
        return self._summary

    def __getitem__(self, field: Field) -> Any:
        """Return the value of a field, None if the run has none.

        A key of config or summary that holds a dot is looked up as it is first, then as nesting.

        Raises:
            NotFetched: the attribute or key was not fetched.
        """
        if not isinstance(field, Field):
            raise UsageError(f"index a run with a field such as wb.summary['loss'], not {field!r}")
        section, parts = field.path.section, field.path.parts
        if section == "run":
            return getattr(self, parts[0])
        return _dig(self.config if section == "config" else self.summary, parts)

    def to_document(self) -> Document:
        """The run under the names that filters use, for `expressions.matches`.

        An attribute that the server gives as null is left out: in its database it is missing. Looking up
        one that was not fetched raises `NotFetched`.
        """
        node = self._node
        attributes: dict[str, Any] = {
            "name": node.name,
            "displayName": node.display_name,
            "state": node.state,
            "tags": [] if node.tags is None else node.tags,
            "createdAt": node.created_at,
            "heartbeatAt": node.heartbeat_at,
            "group": node.group,
            "jobType": node.job_type,
            "username": node.user and node.user.username,
            "sweep": node.sweep_name,
            "host": node.host,
            "duration": node.compute_seconds,
            "updatedAt": node.updated_at,
            "notes": node.notes,
            "config": NOT_FETCHED if self._config_text is NOT_FETCHED else self.config,
            "summary_metrics": NOT_FETCHED if self._summary_text is NOT_FETCHED else self.summary,
        }
        return Document.of(attributes, self._not_fetched)

    def __repr__(self) -> str:
        state = self._node.state
        return f"Run({str(self.path)!r}{'' if state is NOT_FETCHED else f', state={state!r}'})"

    def _fetched(self, name: str, value: T) -> T:
        if value is NOT_FETCHED:
            raise self._not_fetched(name)
        return value

    def _not_fetched(self, name: str) -> NotFetched:
        if self._projection.details and name in DETAILS:
            return NotServed.of(self.path, name, DETAILS[name])
        return NotFetched.attribute(self.path, name)

    # A section may have come for a filter or an order alone; only a selected one counts as fetched.
    @property
    def _config_text(self) -> str | None:
        return NOT_FETCHED if self._projection.config == () else self._node.config

    @property
    def _summary_text(self) -> str | None:
        return NOT_FETCHED if self._projection.summary == () else self._node.summary_metrics

    def _read(
        self, section: Literal["config", "summary"], text: str | None, read: Callable[[str], dict[str, Any]]
    ) -> dict[str, Any]:
        try:
            values = read(text) if text else {}
        except ValueError as error:
            raise ResultError(f"the {section} of run {self.path} cannot be read: {error}") from error
        return self._selected(section, values)

    def _selected(self, section: Literal["config", "summary"], values: dict[str, Any]) -> dict[str, Any]:
        keys = self._projection.config if section == "config" else self._projection.summary
        return values if keys is None else Selected.of(values, section, keys, self.path)


def get_run(session: Session, path: RunPath, *, exact: bool = False) -> Run:
    """Return one run with every attribute and its whole config and summary. One request.

    If the server answers from another path (a redirect, or another case), the run carries that path, and
    a `RedirectWarning` says so; with `exact`, that is an error.

    Raises:
        NotFound: the run or its project is missing or not visible.
        UsageError: `exact`, and the server resolved the path to another one.
        ResponseError: the server answered with another run.
    """
    operation = replace(GET_RUN, names="refuse", informs=False) if exact else GET_RUN
    project = session.execute(operation, entity=path.entity, project=path.project, run=path.run_id).project
    if project is None:
        raise NotFound.project(path.project_path, operation=GET_RUN.name)
    if project.run is None:
        raise NotFound.run(path, operation=GET_RUN.name)
    return Run(project.run, real_path(project, path.project_path))


def _dig(values: Any, parts: Sequence[str]) -> Any:
    found = dig(values, parts)
    if found is None and any("." in part for part in parts):
        # A plain dict: whoever selected "a.b" has what the server nested below "a".
        return dig(dict(values), ".".join(parts).split("."))
    return found
