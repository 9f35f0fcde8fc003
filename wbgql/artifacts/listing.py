"""Lists artifact types, collections and versions of a project, and the versions of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import islice
from typing import Any, TypeVar

from wbgql.artifacts.names import ArtifactPath, is_number
from wbgql.artifacts.nodes import (
    Artifact,
    ArtifactDetails,
    ArtifactType,
    Collection,
    CollectionVersions,
    CreatedByRun,
    Version,
)
from wbgql.cautions import warn
from wbgql.documents import NOT_FETCHED, NamedObject, NamedProject, Operation, Result
from wbgql.errors import CoverageWarning, FilterError, NotFound, ResponseError, UnknownKeyWarning, UsageError
from wbgql.filters import make_matcher
from wbgql.paths import ProjectPath, RunPath
from wbgql.scalars import dump_json
from wbgql.wire.connection import Begun, Connection, iter_nodes, iter_pages
from wbgql.wire.session import Session

# Versions whose run is gone.


@dataclass(frozen=True, slots=True)
class Orphan:
    """A version whose run is gone. `user` made it, through that run or without one.

    `sure`: it was logged at a step of a run, so there was a run. Without that mark the server cannot
    tell a deleted run from a person who logged the version without one.
    """

    version: Version
    user: str | None
    sure: bool


def iter_orphans(session: Session, path: ProjectPath, *, type: str | None = None) -> Iterator[Orphan]:
    """Yield the versions of a project whose run is gone, lazily. Costs what listing the versions costs.

    A run is gone when it is deleted or hidden from this key: the server then answers with its user, or
    with nobody.

    Raises:
        NotFound: the project is missing or not visible.

    Source: the creator of a version whose run was deleted is shown as a user (wandb/wandb#10459).
    """
    for version in iter_versions(session, path, VersionQuery(type=type)):
        if not isinstance(version.created_by, CreatedByRun):
            yield Orphan(version, version.user, sure=version.history_step is not None)


# Conditions on the metadata of artifact versions: a value, or a test such as `{"$gt": 0.4}`.

_NAMED_AT_MOST = 3


def check_metadata(conditions: Mapping[str, Any]) -> None:
    """Check every condition before anything is sent.

    Raises:
        FilterError: a key is no key, or a test has an operator that is not known.
    """
    for key, wanted in conditions.items():
        if not isinstance(key, str) or not key or key.startswith("$"):
            raise FilterError(
                f'metadata: {key!r} is no key of metadata, write {{"key": value}} or {{"key": {{"$gt": 0}}}}'
            )
        _holds(key, wanted, {})


def metadata_holds(conditions: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether metadata meets every condition.

    A key is looked up as it is, then as nesting at its dots. A condition is a value to equal (a list also
    holds if a member equals it), or a test with the operators of filters. Only None and `$exists: false`
    and other negative tests hold for a missing key.
    """
    return all(_holds(key, wanted, values) for key, wanted in conditions.items())


def served_conditions(conditions: Mapping[str, Any]) -> dict[str, Any]:
    """The conditions that the server may decide: a plain key that equals a text, a number or a boolean.

    It reads a dot as nesting, and what it makes of tests and of lists is not documented.
    """
    return {
        f"metadata.{key}": wanted
        for key, wanted in conditions.items()
        if "." not in key and isinstance(wanted, (str, int, float))
    }


def unknown_metadata(
    conditions: Mapping[str, Any], seen: Mapping[str, Any], whose: str
) -> list[UnknownKeyWarning]:
    """Return a warning for each key that none of the versions has. `seen`: their metadata, put together."""
    found = []
    for key in conditions:
        if _dig(seen, key) is not None:
            continue
        near = get_close_matches(key, seen, n=_NAMED_AT_MOST)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        found.append(UnknownKeyWarning(f"no version of {whose} has metadata {key!r}{hint}", near))
    return found


def _holds(key: str, wanted: Any, values: Mapping[str, Any]) -> bool:
    try:
        matches = make_matcher({"value": wanted}, dialect="mongodb")
    except FilterError as error:
        said = str(error).replace("$.value", f"metadata {key!r}", 1)
        raise FilterError(said) from error
    found = _dig(values, key)
    return matches({} if found is None else {"value": found})


def _dig(values: Any, key: str) -> Any:
    if isinstance(values, Mapping) and key in values:
        return values[key]
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


T = TypeVar("T")

# Sequences a page and versions of each that come with it: a project whose runs log tables has
# thousands of sequences of one version each.
COLLECTIONS_PER_PAGE = 50
VERSIONS_PER_COLLECTION = 50
VERSIONS_PER_PAGE = 100


class _RunArtifacts(NamedObject, frozen=True, kw_only=True):
    artifacts: Connection[Artifact] | None


class _ArtifactsProject(NamedProject, frozen=True, kw_only=True):
    run: _RunArtifacts | None


class _ListArtifacts(Result, frozen=True):
    project: _ArtifactsProject | None


class _GetArtifact(Result, frozen=True):
    artifact: ArtifactDetails | None


class _TypesOf(NamedProject, frozen=True, kw_only=True):
    artifact_types: Connection[ArtifactType]


class _ListTypes(Result, frozen=True):
    project: _TypesOf | None


class _CollectionsOf(NamedProject, frozen=True, kw_only=True):
    artifact_collections: Connection[Collection] | None


class _ListCollections(Result, frozen=True):
    project: _CollectionsOf | None


class _NestedVersions(NamedProject, frozen=True, kw_only=True):
    artifact_collections: Connection[CollectionVersions] | None


class _ListProjectVersions(Result, frozen=True):
    project: _NestedVersions | None


class _TypeOf(NamedProject, frozen=True, kw_only=True):
    artifact_type: _NestedVersions | None


class _ListTypeVersions(Result, frozen=True):
    project: _TypeOf | None


class _VersionsOf(NamedObject, frozen=True, kw_only=True):
    artifacts: Connection[Version] | None


class _CollectionOf(NamedProject, frozen=True, kw_only=True):
    artifact_collection: _VersionsOf | None


class _ListCollectionVersions(Result, frozen=True):
    project: _CollectionOf | None


class _ArtifactOf(NamedProject, frozen=True, kw_only=True):
    artifact_collection: NamedObject | None = NOT_FETCHED
    artifact: Version | None


class _GetByName(Result, frozen=True):
    project: _ArtifactOf | None


LIST_LOGGED_ARTIFACTS = Operation("ListLoggedArtifacts", _ListArtifacts, paged=True)
LIST_USED_ARTIFACTS = Operation("ListUsedArtifacts", _ListArtifacts, paged=True)
GET_ARTIFACT = Operation("GetArtifact", _GetArtifact)
GET_ARTIFACT_BY_NAME = Operation("GetArtifactByName", _GetByName)
LIST_ARTIFACT_TYPES = Operation("ListArtifactTypes", _ListTypes, paged=True)
LIST_COLLECTIONS = Operation("ListCollections", _ListCollections, paged=True)
LIST_PROJECT_VERSIONS = Operation("ListProjectVersions", _ListProjectVersions, paged=True)
LIST_TYPE_VERSIONS = Operation("ListTypeVersions", _ListTypeVersions, paged=True)
LIST_COLLECTION_VERSIONS = Operation("ListCollectionVersions", _ListCollectionVersions, paged=True)
OPERATIONS: tuple[Operation[Any], ...] = (
    LIST_LOGGED_ARTIFACTS,
    LIST_USED_ARTIFACTS,
    GET_ARTIFACT,
    GET_ARTIFACT_BY_NAME,
    LIST_ARTIFACT_TYPES,
    LIST_COLLECTIONS,
    LIST_PROJECT_VERSIONS,
    LIST_TYPE_VERSIONS,
    LIST_COLLECTION_VERSIONS,
)


# So many versions are looked at for a key of metadata that matched nothing.
_LOOKED_AT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionQuery:
    """Which versions are asked for. Where several conditions are given, all must hold.

    `alias` is an alias or a version such as `v3`. `metadata` maps keys to the values they must equal, or to
    tests such as `{"$gt": 0.4}`; a key with dots is looked up as it is, then as nesting. The server decides
    aliases, tags and plain metadata; what comes back is checked again, so that a server which ignores a
    condition changes nothing. Other conditions are decided here, and all versions travel for them.

    Raises:
        UsageError: an empty alias or tag.
        FilterError: a test of metadata that is not known.
    """

    type: str | None = None
    collection: str | None = None
    alias: str | None = None
    tag: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    with_metadata: bool = False
    with_manifest: bool = False

    def __post_init__(self) -> None:
        for name in ("type", "collection", "alias", "tag"):
            if getattr(self, name) == "":
                raise UsageError(f"{name} must not be empty: leave it out for any")
        check_metadata(self.metadata)

    def filters(self) -> dict[str, Any]:
        """The filter as the server takes it.

        Source: keys `alias`, `tag` and `metadata.<key>` of W&B's version filters (W&B docs: registry
        search, 2026-11); `{"state": "COMMITTED"}` is what the SDK always sends.
        """
        found: dict[str, Any] = {"state": "COMMITTED"}
        if self.alias is not None and not is_number(self.alias):
            found["alias"] = self.alias
        if self.tag is not None:
            found["tag"] = self.tag
        return found | served_conditions(self.metadata)

    def matches(self, version: Version) -> bool:
        """Whether a version that came back is one that was asked for."""
        return (
            (self.type is None or version.type == self.type)
            and (self.alias is None or self.alias in (*version.alias_names, f"v{version.version_index}"))
            and (self.tag is None or self.tag in version.tag_names)
            and (not self.metadata or metadata_holds(self.metadata, version.values))
        )

    def variables(self) -> dict[str, Any]:
        """What is sent with every page."""
        return {
            "filters": dump_json(self.filters()),
            "withMetadata": self.with_metadata or bool(self.metadata),
            "withManifest": self.with_manifest,
        }


def iter_artifact_types(session: Session, path: ProjectPath) -> Iterator[ArtifactType]:
    """Yield the artifact types of a project, lazily, one request a page.

    Raises:
        NotFound: the project is missing or not visible.
    """

    def fetch(first: int, after: str | None) -> Connection[ArtifactType]:
        project = session.execute(LIST_ARTIFACT_TYPES, **_names(path), first=first, after=after).project
        return _present(path, LIST_ARTIFACT_TYPES, project).artifact_types

    return iter_nodes(
        fetch,
        changes=session.changes,
        page_size=100,
        key=lambda kind: kind.id,
        what=f"artifact types of {str(path)!r}",
    )


def iter_collections(session: Session, path: ProjectPath, *, type: str | None = None) -> Iterator[Collection]:
    """Yield the collections of a project, lazily, one request a page; `type` keeps those of one type.

    Raises:
        NotFound: the project is missing or not visible.
    """

    def fetch(first: int, after: str | None) -> Connection[Collection]:
        project = session.execute(LIST_COLLECTIONS, **_names(path), first=first, after=after).project
        found = _present(path, LIST_COLLECTIONS, project).artifact_collections
        return _some(found, path, LIST_COLLECTIONS)

    nodes = iter_nodes(
        fetch,
        changes=session.changes,
        page_size=200,
        key=lambda collection: collection.id,
        what=_collections_of(path),
        counted=True,
    )
    return (one for one in nodes if type is None or one.type == type)


def iter_versions(
    session: Session, path: ProjectPath, query: VersionQuery | None = None
) -> Iterator[Version]:
    """Yield the committed versions of a project that `query` asks for, each once.

    By collection, in the server's order, the newest version of each first. Lazily; sends one request
    for 50 collections, and one for each 100 versions beyond the first 50 of a collection. Where conditions
    on metadata match nothing, up to 1000 versions are read once more, and an `UnknownKeyWarning` names
    the keys that none of them has.

    Raises:
        NotFound: the project, or the type or collection that was named, is missing or not visible.
    """
    query = query or VersionQuery()
    return _warning_of_unknown(session, path, query, filter(query.matches, _iter_any(session, path, query)))


def _iter_any(session: Session, path: ProjectPath, query: VersionQuery) -> Iterator[Version]:
    """Yield what the server gives for `query`."""
    if query.collection is not None:
        return _iter_collection(session, path, query, query.collection)
    return _iter_project(session, path, query)


def _warning_of_unknown(
    session: Session, path: ProjectPath, query: VersionQuery, found: Iterator[Version]
) -> Iterator[Version]:
    """Pass versions on; where there are none, warn of keys of metadata that others lack as well."""
    first = next(found, None)
    if first is not None:
        yield first
        yield from found
    elif query.metadata:
        others = replace(query, metadata={}, alias=None, tag=None, with_metadata=True)
        seen: dict[str, Any] = {}
        looked_at = list(islice(_iter_any(session, path, others), _LOOKED_AT))
        for version in looked_at:
            seen.update(version.values)
        many = len(looked_at) == _LOOKED_AT
        whose = f"the first {_LOOKED_AT} in {str(path)!r}" if many else repr(str(path))
        for warning in unknown_metadata(query.metadata, seen, whose) if looked_at else ():
            warn(warning)


def get_artifact_by_name(session: Session, path: ArtifactPath) -> Version:
    """Return the version that a path names, whole. One request.

    Raises:
        NotFound: missing, not committed, or not visible.
        ResponseError: the server answered with a version of another number.
    """
    home = path.project_path
    project = session.execute(
        GET_ARTIFACT_BY_NAME, **_names(home), collection=path.collection, name=path.name
    ).project
    version = _present(home, GET_ARTIFACT_BY_NAME, project).artifact
    if version is None:
        raise NotFound(
            f"no artifact {str(path)!r}: no such collection or alias, it was deleted, or this key "
            "cannot see it (`wbgql artifacts list` shows what there is)",
            operation=GET_ARTIFACT_BY_NAME.name,
        )
    # In a portfolio the number is the portfolio's own.
    is_own = version.artifact_sequence.name == path.collection
    if is_own and path.number not in (None, version.version_index):
        raise ResponseError(
            f"the server answered with version v{version.version_index} where {str(path)!r} was asked for",
            operation=GET_ARTIFACT_BY_NAME.name,
        )
    return version


def get_artifact(session: Session, artifact_id: str) -> ArtifactDetails:
    """Return one artifact version by its id. One request.

    Raises:
        NotFound: null where the version was asked for.
    """
    artifact = session.execute(GET_ARTIFACT, id=artifact_id).artifact
    if artifact is None:
        raise NotFound(
            f"no artifact {artifact_id!r}, or not visible to this key", operation=GET_ARTIFACT.name
        )
    return artifact


def iter_logged_artifacts(session: Session, path: RunPath, *, page_size: int = 100) -> Iterator[Artifact]:
    """Yield the artifact versions a run logged, lazily, one request a page.

    Raises:
        NotFound: the run or its project is missing or not visible.
    """
    return _iter_artifacts(session, LIST_LOGGED_ARTIFACTS, path, page_size)


def iter_used_artifacts(session: Session, path: RunPath, *, page_size: int = 100) -> Iterator[Artifact]:
    """Yield the artifact versions a run used, lazily, one request a page.

    Raises:
        NotFound: the run or its project is missing or not visible.
    """
    return _iter_artifacts(session, LIST_USED_ARTIFACTS, path, page_size)


def _iter_artifacts(
    session: Session, operation: Operation[_ListArtifacts], path: RunPath, page_size: int
) -> Iterator[Artifact]:
    def fetch(first: int, after: str | None) -> Connection[Artifact]:
        project = session.execute(
            operation, entity=path.entity, project=path.project, run=path.run_id, first=first, after=after
        ).project
        if project is None:
            raise NotFound.project(path.project_path, operation=operation.name)
        if project.run is None or project.run.artifacts is None:
            raise NotFound.run(path, operation=operation.name)
        return project.run.artifacts

    return iter_nodes(
        fetch,
        changes=session.changes,
        page_size=page_size,
        key=lambda artifact: artifact.id,
        what=f"artifact versions of run {str(path)!r}",
        counted=True,
    )


def _iter_project(session: Session, path: ProjectPath, query: VersionQuery) -> Iterator[Version]:
    seen: set[str] = set()
    fetch, changes = _collections_fetcher(session, path, query), session.changes
    pages = iter_pages(
        fetch,
        changes=changes,
        page_size=COLLECTIONS_PER_PAGE,
        key=lambda one: one.id,
        what=_collections_of(path),
        counted=True,
    )
    for _, collections in pages:
        asked = changes.count
        for collection in collections:
            if collection.artifacts is NOT_FETCHED and collection.kind != "ArtifactSequence":
                continue
            if collection.artifacts is None or collection.artifacts is NOT_FETCHED:
                whole = f"{path}/{collection.name}"
                warn(CoverageWarning(f"versions of {whole!r} are missing here: this key may not see them"))
                continue
            begun = Begun(collection.artifacts, asked)
            for version in _iter_collection(session, path, query, collection.name, begun):
                if version.id not in seen:
                    seen.add(version.id)
                    yield version


def _collections_fetcher(
    session: Session, path: ProjectPath, query: VersionQuery
) -> Callable[[int, str | None], Connection[CollectionVersions]]:
    variables = _names(path) | query.variables() | {"versions": VERSIONS_PER_COLLECTION}

    def fetch_all(first: int, after: str | None) -> Connection[CollectionVersions]:
        project = session.execute(LIST_PROJECT_VERSIONS, **variables, first=first, after=after).project
        found = _present(path, LIST_PROJECT_VERSIONS, project).artifact_collections
        return _some(found, path, LIST_PROJECT_VERSIONS)

    def fetch_type(first: int, after: str | None) -> Connection[CollectionVersions]:
        project = session.execute(
            LIST_TYPE_VERSIONS, **variables, type=query.type, first=first, after=after
        ).project
        kind = _present(path, LIST_TYPE_VERSIONS, project).artifact_type
        if kind is None:
            raise NotFound(
                f"no artifact type {query.type!r} in project {str(path)!r}", operation=LIST_TYPE_VERSIONS.name
            )
        return _some(kind.artifact_collections, path, LIST_TYPE_VERSIONS)

    return fetch_all if query.type is None else fetch_type


def _iter_collection(
    session: Session, path: ProjectPath, query: VersionQuery, name: str, begun: Begun[Version] | None = None
) -> Iterator[Version]:
    variables = _names(path) | query.variables() | {"collection": name}

    def fetch(first: int, after: str | None) -> Connection[Version]:
        project = session.execute(LIST_COLLECTION_VERSIONS, **variables, first=first, after=after).project
        collection = _present(path, LIST_COLLECTION_VERSIONS, project).artifact_collection
        if collection is None or collection.artifacts is None:
            raise NotFound(
                f"no artifact collection {name!r} in project {str(path)!r}, or it was deleted",
                operation=LIST_COLLECTION_VERSIONS.name,
            )
        return collection.artifacts

    return iter_nodes(
        fetch,
        changes=session.changes,
        page_size=VERSIONS_PER_PAGE,
        key=lambda version: version.id,
        begun=begun,
        what=f"versions of {f'{path}/{name}'!r}",
        counted=True,
    )


def _collections_of(path: ProjectPath) -> str:
    return f"artifact collections of {str(path)!r}"


def _names(path: ProjectPath) -> dict[str, Any]:
    return {"entity": path.entity, "project": path.project}


def _present(path: ProjectPath, operation: Operation[Any], project: T | None) -> T:
    if project is None:
        raise NotFound.project(path, operation=operation.name)
    return project


def _some(connection: T | None, path: ProjectPath, operation: Operation[Any]) -> T:
    if connection is None:
        raise NotFound(f"no artifacts of {str(path)!r} are visible to this key", operation=operation.name)
    return connection
