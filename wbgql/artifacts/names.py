"""Names of artifact versions, as the SDK and the address bar write them. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from wbgql.errors import UsageError
from wbgql.paths import ProjectPath

_FORMS = "give entity/project/collection:alias, the alias being vN, latest or any other, or the URL"
_SCHEME = "wandb-artifact://"
_NUMBER = re.compile(r"v[0-9]+")


@dataclass(frozen=True, slots=True)
class ArtifactPath:
    """Where a version is; `str()` gives `entity/project/collection:alias`. `vN` is an alias too."""

    entity: str
    project: str
    collection: str
    alias: str = "latest"

    @property
    def project_path(self) -> ProjectPath:
        """The project that holds the collection."""
        return ProjectPath(self.entity, self.project)

    @property
    def number(self) -> int | None:
        """The version's number where the alias is `vN`, else None."""
        return int(self.alias[1:]) if is_number(self.alias) else None

    @property
    def name(self) -> str:
        """`collection:alias`."""
        return f"{self.collection}:{self.alias}"

    def __str__(self) -> str:
        return f"{self.entity}/{self.project}/{self.name}"


def is_number(alias: str) -> bool:
    """Whether an alias is `vN`: the number of the version, which the server gives and nobody can set.

    Servers list it among a version's aliases, one for each collection, or leave it out.
    Source: `alias_is_version_index` in wandb SDK 0.31.0 `util.py` (2026-11).
    """
    return _NUMBER.fullmatch(alias) is not None


def parse_artifact_path(
    text: str, *, entity: str | None = None, project: str | None = None, alias: str | None = "latest"
) -> ArtifactPath:
    """Read a version's path; `entity`, `project` and `alias` stand in for what it leaves out.

    Reads `collection`, `collection:alias`, `project/collection:alias`,
    `entity/project/collection:alias`, the same behind `wandb-artifact://`, and a URL of the app
    (`/entity/project/artifacts/type/collection/vN`). For lists and deletions pass `alias=None` and leave out
    the rest: the text must then name every part.

    Raises:
        UsageError: another form, an empty part, or a part that neither the text nor an argument names.

    Source: wandb SDK 0.31.0 `sdk/artifacts/_validators.py`, `FullArtifactPath` (2026-11).
    """
    parts = _split_url(text) if text.strip().startswith(("http://", "https://")) else _split(text)
    if parts is None:
        raise UsageError(f"artifact path {text!r} is not one: {_FORMS}")
    found_entity, found_project, name = parts
    collection, _, found_alias = name.partition(":")
    return ArtifactPath(
        _require("entity", found_entity or entity, text),
        _require("project", found_project or project, text),
        _require("collection", collection, text),
        _require("alias", found_alias or alias, text),
    )


def _split(text: str) -> tuple[str | None, str | None, str] | None:
    parts = text.strip().removeprefix(_SCHEME).strip("/").split("/")
    if len(parts) > 3 or not all(parts):
        return None
    entity = parts[0] if len(parts) == 3 else None
    project = unquote(parts[-2]) if len(parts) > 1 else None
    return entity, project, parts[-1]


def _split_url(text: str) -> tuple[str | None, str | None, str] | None:
    segments = [unquote(part) for part in urlsplit(text.strip()).path.split("/") if part]
    if "artifacts" not in segments[2:4]:  # some hosts have the app below /wandb
        return None
    at = segments.index("artifacts", 2)
    named = segments[at + 2 : at + 4]
    return (segments[at - 2], segments[at - 1], ":".join(named)) if named else None


def _require(what: str, value: str | None, text: str) -> str:
    if not value or not value.strip():
        raise UsageError(f"artifact path {text!r} has no {what}: {_FORMS}")
    if any(not char.isprintable() or char in "/:" for char in value):
        raise UsageError(f"artifact path {text!r}: {what} {value!r} holds a character that no name holds")
    return value
