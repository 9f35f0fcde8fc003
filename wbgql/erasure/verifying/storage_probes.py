"""Looks at the bytes themselves, where the operator can reach them: the protocol, and a probe over fsspec.

What is not found proves nothing unless something else was: a wrong bucket is empty too. So each place is
tried with something that must be there before its silence counts.
"""

# ruff: noqa: PLC0415 - fsspec is optional and comes lazily
from __future__ import annotations

import base64
import binascii
import inspect
from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any, Literal, Protocol

import msgspec

from wbgql.errors import ConfigError, StoreError, UsageError
from wbgql.paths import ProjectPath

Seen = Literal["absent", "stored", "not_looked_at"]

RUN_FIELDS = ("entity", "project", "run_id")
ARTIFACT_FIELDS = ("entity", "project", "artifact_id", "artifact_number", "digest")


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """One run, or one artifact version with its `digest`, that is to be gone from a store. `key`: its id."""

    kind: Literal["run", "artifact"]
    project: ProjectPath
    key: str
    digest: str = ""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe saw of one thing; `where` in words without a name, such as `rows, contents`."""

    seen: Seen
    where: str = ""


class Sights(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe saw of all it was asked for, and what it did not look at, in words.

    `found`: how many texts were found that the operator named and that belong to nothing in particular.
    `complete`: nothing was left out that could hold more of them, such as versions that are not current.
    """

    things: Mapping[Thing, Sight]
    found: int = 0
    limits: list[str] = []
    complete: bool


class StorageProbe(Protocol):
    """Looks for things in one store. `name` stands in the verification."""

    name: str

    def look(self, things: Sequence[Thing], alive: Sequence[Thing]) -> Sights:
        """Look for `things`; `alive` are others, of the same projects, that must be found.

        Raises:
            StoreError: the store cannot be read.
            ConfigError: a package is missing, or the address cannot be meant.
        """
        ...


class FsspecProbe:
    """Lists, in any file system that fsspec reaches, where things of a run would lie.

    `templates` are URLs with fields, `s3://bucket/{entity}/{project}/{run_id}`, each for runs or, with one of
    `{artifact_id}`, `{artifact_number}` and `{digest}`, for versions. Where the file system knows versions of
    objects, those that are not current are looked for too. `options` go to the file system (credentials,
    endpoint).

    Raises:
        UsageError: a template with no field of a run or version, or an unknown one.
    """

    name = "fsspec"

    def __init__(self, templates: Sequence[str], options: Mapping[str, Any] | None = None) -> None:
        self._templates = {template: _kind_of(template) for template in templates}
        self._options = dict(options or {})

    def look(self, things: Sequence[Thing], alive: Sequence[Thing]) -> Sights:
        """List each place, without reading what is there; one listing for each thing and template."""
        places = [_Place(template, kind, self._options) for template, kind in self._templates.items()]
        tried = {
            (place.template, project): place.finds_one(alive, project)
            for place in places
            for project in dict.fromkeys(thing.project for thing in things)
        }
        seen = {
            thing: _look([place for place in places if place.kind == thing.kind], thing, tried)
            for thing in things
        }
        limits = [f"{place.protocol}: {note}" for place in places for note in place.notes]
        unfit = sum(not good for good in tried.values())
        if unfit:
            limits.append(
                f"in {unfit} places nothing of a live run or version was found: that nothing else is there "
                "proves nothing"
            )
        knows_versions = all(place.knows_versions for place in places)
        complete = not unfit and knows_versions
        return Sights(things=seen, limits=list(dict.fromkeys(limits)), complete=complete)


class _Place:
    """One template and the file system it leads to."""

    def __init__(self, template: str, kind: str, options: Mapping[str, Any]) -> None:
        self.template = template
        self.kind = kind
        self.protocol = template.partition("://")[0] if "://" in template else "file"
        self.notes: list[str] = []
        self._files = _open(self.protocol, options)
        self.knows_versions = bool(getattr(self._files, "version_aware", False))
        if not self.knows_versions:
            self.notes.append("versions of objects that are not current were not looked at")

    def finds_one(self, alive: Sequence[Thing], project: ProjectPath) -> bool:
        """Whether anything is there of one of the live things of a project."""
        fit = (thing for thing in alive if thing.kind == self.kind and thing.project == project)
        return any(self.find(thing) for thing in fit)

    def find(self, thing: Thing) -> str:
        """What is there of one thing: "current", "not current", or ""."""
        url = self.template.format_map(_values(thing))
        path = self._files._strip_protocol(url)
        try:
            # Without this a listing may come from memory. Source: fsspec docs, "Listings caching" (2026-11).
            self._files.invalidate_cache()
            if self._files.find(path):
                return "current"
            return "not current" if self.knows_versions and self._versions(path) else ""
        except FileNotFoundError:
            return ""
        except Exception as error:
            raise StoreError(
                f"{self.protocol}: a place cannot be listed: {type(error).__name__}; check the credentials"
            ) from error

    def _versions(self, path: str) -> bool:
        """Whether there are versions of objects below a path.

        Source: `S3FileSystem.object_version_info` takes a prefix, and raises KeyError('Versions') where there
        are none; `GCSFileSystem.find(versions=True)` (their sources, 2026-11).
        """
        below = f"{path.rstrip('/')}/"
        if not hasattr(self._files, "object_version_info"):
            return bool(self._files.find(path, versions=True))
        try:
            return bool(self._files.object_version_info(below))
        except KeyError as error:
            if error.args != ("Versions",):
                raise
            return False


def _look(places: Sequence[_Place], thing: Thing, tried: Mapping[tuple[str, ProjectPath], bool]) -> Sight:
    found = [what for place in places if (what := place.find(thing))]
    if found:
        return Sight(seen="stored", where=", ".join(dict.fromkeys(found)))
    if not places or not all(tried[place.template, thing.project] for place in places):
        return Sight(seen="not_looked_at")
    return Sight(seen="absent")


def _kind_of(template: str) -> Literal["run", "artifact"]:
    try:
        fields = {field for _, field, spec, change in Formatter().parse(template) if field is not None}
    except ValueError as error:
        raise UsageError(f"template {template!r} cannot be read: {error}") from error
    if "run_id" in fields and fields <= set(RUN_FIELDS):
        return "run"
    if fields & {"artifact_id", "artifact_number", "digest"} and fields <= set(ARTIFACT_FIELDS):
        return "artifact"
    raise UsageError(
        f"template {template!r} needs {{run_id}} (beside {{entity}}, {{project}}), or {{artifact_id}}, "
        "{artifact_number} or {digest}"
    )


def _values(thing: Thing) -> dict[str, str]:
    where = {"entity": thing.project.entity, "project": thing.project.project}
    if thing.kind == "run":
        return where | {"run_id": thing.key}
    return where | {"artifact_id": thing.key, "artifact_number": _number(thing.key), "digest": thing.digest}


def _number(artifact_id: str) -> str:
    """The number in an id, which is base64 of `Artifact:<number>`; the id itself where it is not."""
    try:
        return base64.b64decode(artifact_id, validate=True).decode().rpartition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return artifact_id


def _open(protocol: str, options: Mapping[str, Any]) -> Any:
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise ConfigError("package 'fsspec' is not installed: pip install fsspec") from error
    try:
        kind = fsspec.get_filesystem_class(protocol)
    except ImportError as error:  # its words name the package
        raise ConfigError(f"{protocol}: {error}") from error
    except ValueError as error:
        raise ConfigError(f"no file system {protocol!r} is known to fsspec") from error
    given = dict(options)
    if "version_aware" in inspect.signature(kind.__init__).parameters:
        given.setdefault("version_aware", True)
    try:
        return kind(**given)
    except Exception as error:
        raise StoreError(f"{protocol}: the store cannot be opened: {type(error).__name__}") from error
