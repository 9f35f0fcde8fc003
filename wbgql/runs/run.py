"""One run: what was asked for of it, under the names that people use."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from wbgql.errors import NotFound, UsageError
from wbgql.expressions import Field
from wbgql.frames.decoding import dig
from wbgql.paths import ProjectPath, RunPath
from wbgql.runs.nodes import GET_RUN, RunNode
from wbgql.runs.projections import EVERYTHING, Projection
from wbgql.scalars import parse_datetime
from wbgql.session import Session


class AmbiguousName(UsageError, AttributeError):
    """`run.name` means the id to GraphQL and the label to people; neither is guessed."""


class Run:
    """One run. Holds what was asked for and sends nothing of its own accord.

    `id` is the id in the run's URL, `display_name` the label people see, `storage_id` the opaque id that
    mutations take. `config` and `summary` hold the selected keys only.
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
    def host(self) -> str | None:
        """Host that logged the run; None also in lists that did not select it."""
        return self._node.host

    @property
    def duration_s(self) -> int | None:
        """Seconds the run computed for; None in lists that did not select it."""
        return self._node.compute_seconds

    @property
    def updated_at(self) -> datetime | None:
        """When the run was last changed, in UTC; None also in lists that did not select it."""
        return parse_datetime(self._node.updated_at) if self._node.updated_at else None

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
            text = self._node.config
            self._config = self._projection.read_config(text) if text else {}
        return self._config

    @property
    def raw_config(self) -> str | None:
        """The config text as the server sent it, wrapper and internal keys included."""
        return self._node.config

    @property
    def summary(self) -> dict[str, Any]:
        """Selected summary keys. NaN may come as a float or as the string the server stores."""
        if self._summary is None:
            text = self._node.summary_metrics
            self._summary = self._projection.read_summary(text) if text else {}
        return self._summary

    def __getitem__(self, field: Field) -> Any:
        """Return the value of a field, None where the run has none (or it was not selected).

        A key of config or summary that holds a dot is looked up as it is first, then as nesting.
        """
        if not isinstance(field, Field):
            raise UsageError(f"index a run with a field such as wb.summary['loss'], not {field!r}")
        section, parts = field.path.section, field.path.parts
        if section == "run":
            return getattr(self, parts[0])
        return _dig(self.config if section == "config" else self.summary, parts)

    def to_document(self) -> dict[str, Any]:
        """The run under the names that filters use, for `expressions.matches`.

        An attribute that the server gives as null is left out: in its database it is missing.
        """
        attributes = {
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
            "host": self.host,
            "duration": self.duration_s,
            "updatedAt": self._node.updated_at,
        }
        there = {key: value for key, value in attributes.items() if value is not None}
        return {**there, "config": self.config, "summary_metrics": self.summary}

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, state={self.state!r})"


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


def _dig(values: Any, parts: Sequence[str]) -> Any:
    found = dig(values, parts)
    if found is None and any("." in part for part in parts):
        return dig(values, ".".join(parts).split("."))
    return found
