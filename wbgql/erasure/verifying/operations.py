"""The reads of a verification: many ids in one request, each with its controls."""

from __future__ import annotations

from typing import Any

import msgspec

from wbgql.documents import NOT_FETCHED, NamedObject, NamedProject, Operation, Result

BATCH = 25
"""How many ids one request asks for: as many as the documents have places."""


class _Name(Result, frozen=True):
    name: str


class _VersionState(Result, frozen=True):
    state: str


class _TypeName(Result, frozen=True):
    name: str


class _Count(Result, frozen=True):
    total_count: int


class FoundCollection(Result, frozen=True):
    """One collection that was asked for by name. `state` is READY or DELETED."""

    id: str
    name: str
    state: str
    default_artifact_type: _TypeName
    artifacts: _Count | None

    @property
    def is_system(self) -> bool:
        """Whether it belongs to the server.

        Source: types `wandb-history`, `wandb-events` and other `wandb-*` (wandb/wandb#6237, #12814, 2026-11).
        """
        return self.default_artifact_type.name.startswith("wandb-")

    @property
    def holds_something(self) -> bool:
        """Whether it is there, with a version or with a number of them that is not told."""
        return self.state != "DELETED" and (self.artifacts is None or self.artifacts.total_count > 0)


class _Named(Result, frozen=True):
    name: str
    entity_name: str


class _NamedRuns(_Named, frozen=True):
    control: _Name | None
    random: _Name | None


class _Random(Result, frozen=True):
    random: _VersionState | None


class _Deleted(NamedObject, frozen=True, kw_only=True):
    deleted_at: str | None = NOT_FETCHED


class _DeletedRun(NamedProject, frozen=True, kw_only=True):
    run: _Deleted | None


class _GetDeletedMark(Result, frozen=True):
    project: _DeletedRun | None


class _Field(Result, frozen=True):
    name: str


class TypeFields(Result, frozen=True):
    """The fields of one type of the server's schema."""

    fields: list[_Field] | None
    input_fields: list[_Field] | None

    @property
    def names(self) -> set[str]:
        """Names of its fields."""
        return {field.name for field in [*(self.fields or ()), *(self.input_fields or ())]}


class _GetTypeFields(Result, frozen=True):
    type: TypeFields | None = NOT_FETCHED


def _places(name: str, letter: str, type_: Any, base: type[Result]) -> Any:
    """A Struct with one field for each place of a document."""
    fields = [(f"{letter}{place}", type_) for place in range(BATCH)]
    return msgspec.defstruct(name, fields, bases=(base,), frozen=True, kw_only=True)


_LookUpRuns = msgspec.defstruct(
    "_LookUpRuns",
    [("project", _places("_SeenRuns", "r", _Name | None, _NamedRuns) | None)],
    bases=(Result,),
    frozen=True,
    kw_only=True,
)
_LookUpVersions = _places("_LookUpVersions", "a", _VersionState | None, _Random)
_LookUpCollections = msgspec.defstruct(
    "_LookUpCollections",
    [("project", _places("_SeenCollections", "c", FoundCollection | None, _Named) | None)],
    bases=(Result,),
    frozen=True,
    kw_only=True,
)

LOOK_UP_RUNS: Operation[Any] = Operation("LookUpRuns", _LookUpRuns, names="own")
LOOK_UP_VERSIONS: Operation[Any] = Operation("LookUpVersions", _LookUpVersions, names="own")
LOOK_UP_COLLECTIONS: Operation[Any] = Operation("LookUpCollections", _LookUpCollections, names="own")
GET_DELETED_MARK = Operation("GetDeletedMark", _GetDeletedMark, names="own")
GET_TYPE_FIELDS = Operation("GetTypeFields", _GetTypeFields)
OPERATIONS: tuple[Operation[Any], ...] = (
    LOOK_UP_RUNS,
    LOOK_UP_VERSIONS,
    LOOK_UP_COLLECTIONS,
    GET_DELETED_MARK,
    GET_TYPE_FIELDS,
)
