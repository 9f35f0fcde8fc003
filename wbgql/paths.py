"""Paths of runs and projects, read as the W&B SDK and the address bar write them. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from wbgql.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import TypeIs

# The app of these hosts lives below /wandb.
# Source: wandb SDK 0.31.0 `sdk/lib/urls.py`, FORGE_HOSTS and FORGE_APP_PATH (2026-11).
_PREFIXED_HOSTS = ("forge.coreweave.com", "qa.forge.coreweave.com")
_PREFIX = "wandb"
# One deployment, two names.
# Source: wandb SDK 0.31.0 `sdk/lib/urls.py`, FORGE_HOSTS (2026-11).
_SAME_DEPLOYMENT = frozenset({"wandb.ai", "app.wandb.ai", "forge.coreweave.com"})

_RUN_FORMS = "give entity/project/run_id, project/run_id, run_id or the URL of the run"
_PROJECT_FORMS = "give entity/project, project or the URL of the project"


@dataclass(frozen=True, slots=True)
class ProjectPath:
    """Where a project is; `str()` gives `entity/project`."""

    entity: str
    project: str

    def __str__(self) -> str:
        return f"{self.entity}/{self.project}"


@dataclass(frozen=True, slots=True)
class RunPath:
    """Where a run is; `str()` gives `entity/project/run_id`. The id is the one in the URL."""

    entity: str
    project: str
    run_id: str

    @property
    def project_path(self) -> ProjectPath:
        """The project that holds the run."""
        return ProjectPath(self.entity, self.project)

    def __str__(self) -> str:
        return f"{self.entity}/{self.project}/{self.run_id}"


class HasPath(Protocol):
    """A run, or another object that says which run it is."""

    @property
    def path(self) -> RunPath:
        """Where the run is."""


class HasProjectPath(Protocol):
    """A project, as lists of projects give it."""

    @property
    def path(self) -> ProjectPath:
        """Where the project is."""


RunLike: TypeAlias = str | RunPath | HasPath
"""What names one run: its path, an object that has it, or a text."""

ProjectLike: TypeAlias = str | ProjectPath | HasProjectPath
"""What names one project: its path, an object that has it, or a text."""


def is_one_project(projects: ProjectLike | Iterable[object]) -> TypeIs[ProjectLike]:
    """Whether an argument that takes one project or several names one."""
    return isinstance(projects, (str, ProjectPath)) or isinstance(
        getattr(projects, "path", None), ProjectPath
    )


def is_one_run(runs: RunLike | Iterable[RunLike]) -> TypeIs[RunLike]:
    """Whether an argument that takes one run or several names one."""
    path = getattr(runs, "path", runs)
    return isinstance(path, RunPath) or isinstance(runs, str)


def quoted_path(path: ProjectPath) -> str:
    """Return the text of a path with what a reader or a shell would lose of the project's name spelt out.

    Blanks at the ends of the name, and characters that cannot be seen, are written as `%20` and the like.
    """
    name = path.project
    inner = range(len(name) - len(name.lstrip()), len(name.rstrip()))
    spelt = (char if at in inner and char.isprintable() else quote(char) for at, char in enumerate(name))
    return f"{path.entity}/{''.join(spelt)}"


def parse_run_path(text: str, *, entity: str | None = None, project: str | None = None) -> RunPath:
    """Read a run's path; `entity` and `project` stand in for what it leaves out.

    Reads `run_id`, `project/run_id`, `project:run_id`, `entity/project/run_id`,
    `entity/project:run_id`, `entity/project/runs/run_id` and a URL of the app, with or
    without a leading slash. Blanks around the whole text are dropped, blanks around a part inside belong to
    its name. A project may be written with %20 and the like: no name of a project holds a percent sign.

    Raises:
        UsageError: another form, an empty part, or no entity or project to be had.

    Source: wandb SDK 0.31.0 `apis/public/api.py`, `Api._parse_path` (2026-11).
    """
    parts = _split_run_url(text) if _is_url(text) else _split_run_path(text)
    if parts is None:
        raise UsageError(f"run path {text!r} is not one: {_RUN_FORMS}")
    found_entity, found_project, run_id = parts
    return RunPath(
        _require("entity", entity if found_entity is None else found_entity, text, "WANDB_ENTITY"),
        _require("project", project if found_project is None else found_project, text, "WANDB_PROJECT"),
        _require("run_id", run_id, text, None),
    )


def parse_listed_run(text: str, *, entity: str | None = None, project: ProjectPath | None = None) -> RunPath:
    """Read one item of a list of runs, which the default project never completes.

    Reads `entity/project/run_id` exactly as `str(path)` writes it: blanks, unusual characters and the name
    `runs` are kept. `run_id` alone is read only with `project`, the one that the caller named together with
    the list. `project/run_id`, `entity/project/runs/run_id` and URLs are read as `parse_run_path` does.

    Raises:
        UsageError: an id without a project, or no path at all.
    """
    parts = text.strip("/").split("/")
    if len(parts) == 4 and parts[2] == "runs":
        del parts[2]
    if _is_url(text):
        path = parse_run_path(text)
    elif len(parts) == 3 and all(parts):
        path = RunPath(parts[0], _decode_project(parts[1]), parts[2])
    elif len(parts) > 1 or (project is None and ":" in text):
        path = parse_run_path(text, entity=entity)
    elif not parts[0].strip():
        raise UsageError(f"run path {text!r} is not one: {_RUN_FORMS}")
    elif project is not None:
        path = RunPath(project.entity, project.project, parts[0])
    else:
        raise UsageError(
            f"run id {text!r} has no project, and the default project is not used for lists and deletions: "
            "give entity/project/run_id, or name the project in the same call; nothing was done"
        )
    return path


def parse_project_path(text: str, *, entity: str | None = None) -> ProjectPath:
    """Read a project's path; `entity` stands in where it has none.

    Reads `project`, `entity/project` and a URL of the app, with or without a leading slash. Blanks and %20
    are read as in `parse_run_path`.

    Raises:
        UsageError: another form, an empty part, or no entity to be had.

    Source: wandb SDK 0.31.0 `apis/public/api.py`, `Api._parse_project_path` (2026-11).
    """
    if _is_url(text):
        parts = _url_segments(text)[:2]
        if len(parts) < 2:
            raise UsageError(f"project path {text!r} is not one: {_PROJECT_FORMS}")
    else:
        parts = _strip_slashes(text).split("/")
        parts[-1] = _decode_project(parts[-1])
    if len(parts) > 2:
        raise UsageError(f"project path {text!r} has {len(parts)} parts: {_PROJECT_FORMS}")
    found_entity = parts[0] if len(parts) == 2 else entity
    return ProjectPath(
        _require("entity", found_entity, text, "WANDB_ENTITY"), _require("project", parts[-1], text, None)
    )


def check_url_host(text: str, base_url: str) -> None:
    """Refuse a URL of another server than `base_url`; a text that is no URL passes.

    The app of `https://api.host` is `https://host`. Ports count: two servers may share a machine.

    Raises:
        UsageError: it is; what it names would be looked for on the wrong server.
    """
    if not _is_url(text):
        return
    _url_segments(text)  # raises for what is no URL at all
    named, reached = urlsplit(text.strip()).netloc.lower(), urlsplit(base_url).netloc.lower()
    hosts = {reached, reached.removeprefix("api.")}
    if hosts & set(_SAME_DEPLOYMENT):
        hosts |= set(_SAME_DEPLOYMENT)
    if named not in hosts and named.removeprefix("www.") not in hosts:
        raise UsageError(
            f"{text!r} is on {named!r}, but base_url names {reached!r}: set base_url to its server, or give "
            "the path alone"
        )


def _is_url(text: str) -> bool:
    return text.strip().lower().startswith(("http://", "https://"))


def _url_segments(text: str) -> list[str]:
    try:
        url = urlsplit(text.strip())
    except ValueError as error:
        raise UsageError(f"{text!r} is not a URL: {error}") from error
    segments = [unquote(segment) for segment in url.path.split("/") if segment]
    if url.hostname in _PREFIXED_HOSTS and segments[:1] == [_PREFIX]:
        return segments[1:]
    return segments


def _split_run_url(text: str) -> tuple[str | None, str | None, str] | None:
    """Entity, project and id of `https://host/entity/project/runs/id`, whatever follows."""
    segments = _url_segments(text)
    if len(segments) < 4 or segments[2] != "runs":
        return None
    return segments[0], segments[1], segments[3]


def _split_run_path(text: str) -> tuple[str | None, str | None, str] | None:
    if "/sweeps/" in text:
        return None  # the SDK would take the sweep's id for a run's
    parts = _strip_slashes(text.replace("/runs/", "/")).split("/")
    if len(parts) == 3:
        return parts[0], _decode_project(parts[1]), parts[2]
    if len(parts) > 3:
        return None
    # Docker style. Only the last part may hold it, and an id alone cannot hold a colon.
    project, colon, run_id = parts[-1].partition(":")
    if colon:
        return (parts[0] if len(parts) == 2 else None), _decode_project(project), run_id
    return None, (_decode_project(parts[0]) if len(parts) == 2 else None), parts[-1]


def _strip_slashes(text: str) -> str:
    """Drop the blanks around a path, then the slashes; blanks behind a slash belong to a name."""
    return text.strip().strip("/")


def _decode_project(name: str) -> str:
    """Read %20 and the like in the name of a project, which cannot itself hold a percent sign.

    Source: wandb SDK 0.31.0 `sdk/wandb_settings.py`, `validate_project` (2026-11).
    """
    return unquote(name)


def _require(name: str, value: str | None, text: str, variable: str | None) -> str:
    spelt_out = "%" in text  # what cannot be seen may stand there on purpose
    if not value or not (value.strip() or spelt_out):
        where = f"; write it in the path, pass {name}= or set {variable}" if variable else ""
        raise UsageError(f"path {text!r} has no {name}{where}")
    if "/" in value or not (value.isprintable() or spelt_out):
        raise UsageError(f"path {text!r}: {name} {value!r} holds a slash or a character that cannot be seen")
    return value
