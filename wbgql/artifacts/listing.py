"""Lists artifact types, collections and versions of a project, and the versions of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

from wbgql.artifacts.conditions import (
    check_metadata,
    metadata_holds,
    served_conditions,
    unknown_metadata,
)
from wbgql.artifacts.names import ArtifactPath, is_number
from wbgql.artifacts.nodes import (
    Artifact,
    ArtifactDetails,
    ArtifactType,
    Collection,
    CollectionVersions,
    Version,
)
from wbgql.cautions import warn
from wbgql.documents import NOT_FETCHED, NamedObject, NamedProject, Operation, Result
from wbgql.errors import CoverageWarning, NotFound, ResponseError, UsageError
from wbgql.paths import ProjectPath, RunPath
from wbgql.scalars import dump_json
from wbgql.wire.connection import Begun, Connection, iter_nodes, iter_pages
from wbgql.wire.session import Session

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
    )
    for _, collections in pages:
        asked = changes.count
        for collection in collections:
            if collection.artifacts is NOT_FETCHED:
                continue
            if collection.artifacts is None:
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
