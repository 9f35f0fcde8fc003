"""Projects of an entity, and the typed keys their runs hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn

from wbgql.documents import NOT_FETCHED, NamedProject, Operation, Result
from wbgql.errors import NotFetched, NotFound, PermissionDenied, ResponseError, ResultError, SchemaMismatch
from wbgql.expressions import FieldPath
from wbgql.naming import report_other_path
from wbgql.paths import ProjectPath
from wbgql.scalars import parse_id
from wbgql.wire.connection import Connection, iter_nodes
from wbgql.wire.session import Session


class Project(Result, frozen=True):
    """One project as lists give it. `read_only`: this key cannot write to it."""

    id: str
    name: str
    entity_name: str
    created_at: str
    read_only: bool | None

    @property
    def path(self) -> ProjectPath:
        """Where the project is."""
        return ProjectPath(self.entity_name, self.name)

    if not TYPE_CHECKING:  # so that type checkers find these names missing themselves

        def __getattr__(self, name: str) -> NoReturn:
            if name in ("internal_id", "number", "run_count"):
                raise NotFetched(
                    f"project '{self.entity_name}/{self.name}': {name} was not fetched; "
                    "read it with wbgql.projects.get_project(session, path)"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class ProjectDetails(Result, frozen=True):
    """One project with its number of runs. `internal_id` is what `deleteFiles` wants."""

    id: str
    internal_id: str
    name: str
    entity_name: str
    created_at: str
    read_only: bool | None
    run_count: int

    @property
    def path(self) -> ProjectPath:
        """Where the project is."""
        return ProjectPath(self.entity_name, self.name)

    @property
    def number(self) -> int:
        """The project's number, which `deleteFiles` wants.

        Raises:
            ResponseError: the server's `internalId` holds none.
        """
        number = project_number(self.internal_id)
        if number is None:
            raise ResponseError(f"project {self.name!r} has an internalId that holds no number")
        return number


def project_number(internal_id: str | None) -> int | None:
    """The number in a project's `internalId`, which stays when the project is renamed; None: there is none.

    Source: `internalId` is a decimal, or base64 of `ProjectInternalId:<int>` or `Project:<int>`
    (wandb SDK 0.31.0 `apis/public/registries/_utils.py`, 2026-11).
    """
    text = internal_id or ""
    if not text.isdecimal():
        text = (parse_id(text) or [""])[-1]
    return int(text) if text.isdecimal() else None


class ProjectField(Result, frozen=True):
    """A key that runs of the project hold, e.g. `summary_metrics.val/loss` of type `number`."""

    path: str
    type: str

    @property
    def field(self) -> str:
        """The key as an expression writes it: `summary["val/loss"]`; else the path."""
        path = FieldPath.of_key(self.path)
        return self.path if path is None else str(path)


class _ListProjects(Result, frozen=True):
    projects: Connection[Project] | None


class _GetProject(Result, frozen=True):
    project: ProjectDetails | None


class _Fields(NamedProject, frozen=True, kw_only=True):
    fields: Connection[ProjectField] | None = NOT_FETCHED


class _ListFields(Result, frozen=True):
    project: _Fields | None


class _Entity(Result, frozen=True):
    id: str
    available: bool | None


class _GetEntity(Result, frozen=True):
    entity: _Entity | None


LIST_PROJECTS = Operation("ListProjects", _ListProjects, paged=True, informs=True)
GET_ENTITY = Operation("GetEntity", _GetEntity)
GET_PROJECT = Operation("GetProject", _GetProject)
LIST_FIELDS = Operation("ListFields", _ListFields, paged=True, informs=True)
OPERATIONS: tuple[Operation[Any], ...] = (LIST_PROJECTS, GET_ENTITY, GET_PROJECT, LIST_FIELDS)

INTERNAL = "_wandb"
"""The key of config and summary under which the SDK keeps its own."""


def iter_projects(session: Session, entity: str, *, page_size: int = 200) -> Iterator[Project]:
    """Yield the projects of `entity` that this key can see, lazily, one request a page.

    If there is none, one more request asks whether there is such an entity.

    Raises:
        NotFound: the entity does not exist, or is not visible to this key.
    """

    def fetch(first: int, after: str | None) -> Connection[Project]:
        found = session.execute(LIST_PROJECTS, entity=entity, first=first, after=after).projects
        if found is None:
            raise _no_entity(entity)
        return found

    project, first = None, True
    for project in iter_nodes(
        fetch,
        changes=session.changes,
        page_size=page_size,
        key=lambda one: one.id,
        what=f"projects of {entity!r}",
    ):
        if first and project.entity_name != entity:
            report_other_path(entity, project.entity_name)
        first = False
        yield project
    if project is None:
        # Servers list no projects of a name that nobody has, so that an empty list may be a misspelt name.
        there = session.execute(GET_ENTITY, entity=entity).entity
        if there is None or there.available:
            raise _no_entity(entity)


def _no_entity(entity: str) -> NotFound:
    return NotFound(
        f"no entity {entity!r}: it does not exist, or this key cannot see it; check the spelling and the key "
        "(`wbgql whoami`)",
        operation=LIST_PROJECTS.name,
    )


def get_project(session: Session, path: ProjectPath, *, exact: bool = False) -> ProjectDetails:
    """Return one project. One request.

    Raises:
        NotFound: missing, or not visible to this key; the server does not tell which.
        UsageError: `exact`, and the server resolved the path to another one.
    """
    operation = replace(GET_PROJECT, names="refuse") if exact else GET_PROJECT
    project = session.execute(operation, entity=path.entity, project=path.project).project
    if project is None:
        raise NotFound.project(path, operation=GET_PROJECT.name)
    return project


def iter_fields(
    session: Session, path: ProjectPath, *, pattern: str | None = None, page_size: int = 1000
) -> Iterator[ProjectField]:
    """Yield the typed keys of a project's runs, lazily, one request a page.

    `pattern` is the server's to read. What it finds only in the word `value`, which stands in every path of
    config (`config.lr.value`), is left out. So is what the SDK keeps under `_wandb`, unless `pattern` asks
    for it: there, each run has keys of its own.

    Raises:
        NotFound: no such project, or not visible.
    """
    found = _iter_listed(session, path, pattern, page_size)
    return (field for field in found if _is_asked_for(field.path, pattern))


def _iter_listed(
    session: Session, path: ProjectPath, pattern: str | None, page_size: int
) -> Iterator[ProjectField]:
    """Yield all that the server lists, internal keys too."""

    def fetch(first: int, after: str | None) -> Connection[ProjectField]:
        found = session.execute(
            LIST_FIELDS, entity=path.entity, project=path.project, pattern=pattern, first=first, after=after
        ).project
        if found is None:
            raise NotFound.project(path, operation=LIST_FIELDS.name)
        if found.fields is NOT_FETCHED:
            raise SchemaMismatch(
                f"the server has no field for the keys of {str(path)!r}: its schema has no Project.fields",
                coordinates=("Project.fields",),
                operation=LIST_FIELDS.name,
            )
        if not found.fields:
            raise ResponseError(
                f"the server gives null for the keys of {str(path)!r}: it does not list them",
                operation=LIST_FIELDS.name,
            )
        return found.fields

    return iter_nodes(
        fetch,
        changes=session.changes,
        page_size=page_size,
        key=lambda field: f"{field.path} {field.type}",
        what=f"keys of {str(path)!r}",
    )


def _is_asked_for(path: str, pattern: str | None) -> bool:
    """Whether a key is one of the runs' own, and not found in the word `value` alone."""
    text = (pattern or "").strip("%*")
    section, *parts = path.split(".")
    if parts[:1] == [INTERNAL] and INTERNAL not in text:
        return False
    if not text or section != "config" or parts[1:2] != ["value"]:
        return True
    return text not in path or text in ".".join((section, parts[0], *parts[2:]))


@dataclass(frozen=True, slots=True)
class ListedFields:
    """Typed keys as far as they were read. `complete`: the list was read to its end."""

    fields: tuple[ProjectField, ...]
    complete: bool


def list_fields(
    session: Session, path: ProjectPath, *, most: int, pattern: str | None = None
) -> ListedFields | None:
    """Return the typed keys among the first `most` that the server lists, or None where it lists none.

    Internal keys count against `most`, so that it bounds the requests: one for 1000.

    Raises:
        NotFound: no such project, or not visible.
    """
    try:
        listed = list(islice(_iter_listed(session, path, pattern, min(most, 1000)), most + 1))
    except (ResponseError, ResultError, PermissionDenied):
        return None
    kept = (field for field in listed[:most] if _is_asked_for(field.path, pattern))
    return ListedFields(tuple(kept), complete=len(listed) <= most)
