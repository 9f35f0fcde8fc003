"""Artifact types, collections and versions as they travel. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar

import msgspec

from wbgql.artifacts.names import ArtifactPath, is_number
from wbgql.documents import NOT_FETCHED, Result
from wbgql.errors import NotFetched, ResultError, UsageError
from wbgql.paths import RunPath
from wbgql.scalars import parse_json
from wbgql.wire.connection import Connection

T = TypeVar("T")


class _TypeName(Result, frozen=True):
    name: str


class _ProjectName(Result, frozen=True):
    name: str
    entity_name: str


class _Sequence(Result, frozen=True):
    id: str
    name: str
    project: _ProjectName | None = None


class _Alias(Result, frozen=True):
    alias: str


# What `Version` has in addition; the versions of a run come without it.
_OF_VERSIONS = frozenset(
    {
        "created_by",
        "description",
        "history_step",
        "metadata",
        "path",
        "run",
        "tag_names",
        "tags",
        "updated_at",
        "user",
        "values",
    }
)


class Artifact(Result, frozen=True):
    """One artifact version. `size` in bytes; `state` PENDING, COMMITTED or DELETED."""

    id: str
    digest: str
    state: str
    version_index: int | None
    size: int
    file_count: int
    created_at: str
    artifact_type: _TypeName
    artifact_sequence: _Sequence
    aliases: list[_Alias]

    @property
    def name(self) -> str:
        """`collection:vN`, as the SDK writes it."""
        version = "" if self.version_index is None else f":v{self.version_index}"
        return f"{self.artifact_sequence.name}{version}"

    @property
    def path(self) -> str | None:
        """`entity/project/collection:vN`; None if no path names this version alone, see `artifact_path`."""
        if self.artifact_sequence.project is None or self.version_index is None:
            return None
        return str(self.artifact_path)

    @property
    def artifact_path(self) -> ArtifactPath:
        """The path as an object, which every method that takes an artifact accepts.

        Raises:
            UsageError: no path names this version alone: its project is not visible to this key, or it has
                no number yet because it is not committed.
        """
        project = self.artifact_sequence.project
        if project is None or self.version_index is None:
            why = "is in a project that this key cannot see" if project is None else "has no number yet"
            raise UsageError(f"artifact {self.name!r} (id {self.id}) {why}, so no path names it")
        return ArtifactPath(
            project.entity_name, project.name, self.artifact_sequence.name, f"v{self.version_index}"
        )

    @property
    def collection(self) -> str:
        """Name of the collection the version was logged to."""
        return self.artifact_sequence.name

    @property
    def type(self) -> str:
        """Name of the artifact type; `wandb-history` and its like belong to the server."""
        return self.artifact_type.name

    @property
    def alias_names(self) -> tuple[str, ...]:
        """Aliases in the server's order; `vN` is none of them, also where the server lists it."""
        return tuple(alias.alias for alias in self.aliases if not is_number(alias.alias))

    if not TYPE_CHECKING:  # so that type checkers find these names missing themselves

        def __getattr__(self, name: str) -> NoReturn:
            if name in _OF_VERSIONS:
                raise _not_fetched(self.name, name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _not_fetched(path: str, name: str) -> NotFetched:
    hint = "list versions with with_metadata=True, or " if name in ("metadata", "values") else ""
    return NotFetched(f"artifact {path!r}: {name} was not fetched; {hint}read it with client.artifact(path)")


class _User(Result, frozen=True):
    username: str | None


class _CreatorProject(_ProjectName, frozen=True):
    internal_id: str | None = None


class CreatedByRun(Result, frozen=True, kw_only=True, tag_field="__typename", tag="Run"):
    """The run that logged an artifact. `project` is null where it is gone."""

    id: str
    name: str
    display_name: str | None
    state: str | None
    tags: list[str] | None
    user: _User | None
    project: _CreatorProject | None
    created_at: str | None = None


class CreatedByUser(Result, frozen=True, tag_field="__typename", tag="User"):
    """A person made the artifact, or the run that did is gone."""

    username: str | None


class ArtifactDetails(Artifact, frozen=True):
    """One artifact version, with who made it."""

    created_by: CreatedByRun | CreatedByUser | None


class _Tag(Result, frozen=True):
    name: str


class ManifestFile(Result, frozen=True):
    """Where a manifest can be read; the URL may expire."""

    direct_url: str


class ManifestLink(Result, frozen=True):
    """A version's manifest, without its content."""

    file: ManifestFile


class Version(ArtifactDetails, frozen=True, kw_only=True):
    """One artifact version with where it lives and who made it.

    `description` and `metadata` raise `NotFetched` if they were not asked for. `manifest_link` is
    `NOT_FETCHED` unless the manifest was asked for.
    """

    updated_at: str | None
    history_step: int | None
    tags: list[_Tag]
    description_text: str | None = msgspec.field(default=NOT_FETCHED, name="description")
    metadata_text: str | None = msgspec.field(default=NOT_FETCHED, name="metadata")
    manifest_link: ManifestLink | None = msgspec.field(default=NOT_FETCHED, name="currentManifest")

    @property
    def tag_names(self) -> tuple[str, ...]:
        """Tags in the server's order."""
        return tuple(tag.name for tag in self.tags)

    @property
    def description(self) -> str | None:
        """The description. Only `client.artifact(path)` fetches it."""
        return self._fetched("description", self.description_text)

    @property
    def metadata(self) -> str | None:
        """The metadata as JSON text. Lists fetch it only with `metadata=...` or `with_metadata`."""
        return self._fetched("metadata", self.metadata_text)

    @property
    def values(self) -> dict[str, Any]:
        """The metadata, decoded; empty if there is none.

        Raises:
            ResultError: the server sent what is not JSON; `metadata` has it.
        """
        text = self.metadata
        try:
            found = parse_json(text) if text else {}
        except ValueError as error:
            raise ResultError(f"the metadata of artifact {self.path or self.name!r} is not JSON") from error
        return found if isinstance(found, dict) else {}

    def _fetched(self, name: str, value: T) -> T:
        if value is NOT_FETCHED:
            raise _not_fetched(self.path or self.name, name)
        return value

    @property
    def run(self) -> RunPath | None:
        """The run that made it; None where it is gone, or was none."""
        creator = self.created_by
        if not isinstance(creator, CreatedByRun) or creator.project is None:
            return None
        return RunPath(creator.project.entity_name, creator.project.name, creator.name)

    @property
    def user(self) -> str | None:
        """Login name of who made it, through a run or without."""
        creator = self.created_by
        if isinstance(creator, CreatedByRun):
            return creator.user.username if creator.user else None
        return creator.username if creator else None


class ArtifactType(Result, frozen=True):
    """One artifact type of a project."""

    id: str
    name: str
    description: str | None


class _Count(Result, frozen=True):
    total_count: int


class Collection(Result, frozen=True):
    """One collection: `kind` is ArtifactSequence (versions) or ArtifactPortfolio (links to versions)."""

    kind: str = msgspec.field(name="__typename")
    id: str
    name: str
    description: str | None
    created_at: str
    default_artifact_type: _TypeName
    artifacts: _Count | None

    @property
    def type(self) -> str:
        """Name of the artifact type of its versions."""
        return self.default_artifact_type.name

    @property
    def version_count(self) -> int | None:
        """How many versions it holds; None where the server does not say."""
        return None if self.artifacts is None else self.artifacts.total_count


class CollectionVersions(Result, frozen=True):
    """One collection and the first of its versions, `NOT_FETCHED` for a portfolio: it holds links."""

    id: str
    name: str
    kind: str = msgspec.field(name="__typename", default="")
    artifacts: Connection[Version] | None = NOT_FETCHED


ArtifactLike: TypeAlias = str | ArtifactPath | Artifact
"""What names one artifact version: its path, the version as a list gave it, or a text."""
