"""The hold register: what must not be destroyed, kept in a file of its own.

Read again before every destructive call. A register that cannot be read holds everything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, cast, get_args

import msgspec
from filelock import FileLock, Timeout
from platformdirs import user_config_path

from wbgql.errors import Held, StoreError, UsageError
from wbgql.paths import ProjectPath, parse_listed_run, parse_project_path
from wbgql.scalars import format_datetime, same_instant

Kind = Literal["run", "project", "tag", "user"]
KINDS: tuple[str, ...] = get_args(Kind)

# A run that carries this tag is held even if no register says so: colleagues see it in W&B's own pages.
HOLD_TAG = "legal-hold"
_LOCK_TIMEOUT_S = 10.0
_HOW_TO_LIFT = f"`wbgql hold release ID` lifts a hold; remove the tag {HOLD_TAG!r} to lift what it marks"


class Hold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One hold. `reason` is a reference (a case number), never a person's name.

    `value` is `entity/project/run` for a run, `entity/project` for a project, else a tag or a user name.
    Paths change: a run is moved, a project renamed. What stays is recorded too, where the server told it:
    `created_at`, when a run was made (ISO-8601), and `project_id`, the number of a project.
    """

    id: Annotated[str, msgspec.Meta(pattern="^H[0-9]+$")]
    kind: Kind
    value: str
    reason: str
    added_at: str
    added_by: str
    created_at: str | None = None
    project_id: int | None = None


class _Register(msgspec.Struct, forbid_unknown_fields=True):
    version: Literal[1]
    last: int  # number of the last id given out, so that none is used twice
    holds: list[Hold]


class HoldTarget(msgspec.Struct, frozen=True, kw_only=True):
    """What a destructive call is about to touch, as the server just gave it.

    `created_at`: when the run was made; `project_id`: its project's number. None: not known, so that neither
    rules a hold out.
    """

    entity: str
    project: str
    run_id: str
    tags: tuple[str, ...] = ()
    user: str | None = None
    created_at: str | None = None
    project_id: int | None = None

    @property
    def project_path(self) -> ProjectPath:
        """The project that the run is in now."""
        return ProjectPath(self.entity, self.project)


FindProjectId = Callable[[ProjectPath], int | None]
"""Finds the number of a project; None where the server does not tell it."""


def default_register_path(environ: Mapping[str, str]) -> Path:
    """`$WBGQL_HOLDS`, else `holds.json` in the user's configuration folder."""
    named = environ.get("WBGQL_HOLDS")
    return Path(named).expanduser() if named else user_config_path("wbgql") / "holds.json"


class HoldRegister:
    """The register in one file. Safe between processes: a lock file stands beside it.

    `required`: the file was named by somebody, so its absence is not "no holds" but a register that
    cannot be read (an unmounted share, a typo).
    """

    def __init__(self, path: Path, *, required: bool = False) -> None:
        self.path = path
        self.required = required

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> HoldRegister:
        """The register that `$WBGQL_HOLDS` or the default names."""
        environ = os.environ if environ is None else environ
        return cls(default_register_path(environ), required=bool(environ.get("WBGQL_HOLDS")))

    def read(self) -> list[Hold]:
        """Return all holds, oldest first.

        Raises:
            Held: the register cannot be read; nothing may be destroyed until it can.
        """
        return self._load().holds

    def _load(self) -> _Register:
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError as error:
            # A link that leads nowhere is a register on a share that is not mounted.
            if self.required or self.path.is_symlink():
                raise self._unreadable("it is not there (`wbgql hold init` makes a new one)") from error
            return _Register(version=1, last=0, holds=[])
        except OSError as error:
            raise self._unreadable((error.strerror or type(error).__name__).lower()) from error
        try:
            return msgspec.json.decode(raw, type=_Register)
        except msgspec.DecodeError as error:
            raise self._unreadable(f"it is damaged ({error})") from error

    def add(
        self,
        kind: str,
        value: str,
        *,
        reason: str,
        added_by: str,
        now: datetime,
        created_at: str | None = None,
        project_id: int | None = None,
    ) -> Hold:
        """Add one hold and return it. Written to disk before this returns.

        `created_at` of a run and `project_id` of a project let the hold follow them (`deletes.find_held`).

        Raises:
            UsageError: an unknown kind, or an empty value or reason.
            Held: the register cannot be read, so it cannot be added to.
            StoreError: it cannot be written.
        """
        hold = _make_hold(kind, value, reason, added_by, now)
        hold = msgspec.structs.replace(hold, created_at=created_at, project_id=project_id)
        with self._locked():
            register = self._load()
            hold = msgspec.structs.replace(hold, id=f"H{register.last + 1}")
            self._write(_Register(version=1, last=register.last + 1, holds=[*register.holds, hold]))
        return hold

    def create(self) -> None:
        """Make an empty register. One that was named (`$WBGQL_HOLDS`) must be made before its first use:
        a share that is not mounted must not look like a register without holds.

        Raises:
            UsageError: it is there already.
            StoreError: it cannot be written.
        """
        with self._locked():
            if self.path.exists():
                raise UsageError(f"the hold register {str(self.path)!r} is there already")
            self._write(_Register(version=1, last=0, holds=[]))

    def release(self, hold_id: str) -> Hold:
        """Remove one hold by its id and return it.

        Raises:
            UsageError: no such hold.
            Held: the register cannot be read.
            StoreError: it cannot be written.
        """
        with self._locked():
            register = self._load()
            released = [hold for hold in register.holds if hold.id == hold_id]
            if not released:
                known = ", ".join(hold.id for hold in register.holds) or "none"
                raise UsageError(f"no hold {hold_id!r}; held now: {known}")
            register.holds.remove(released[0])
            self._write(register)
        return released[0]

    def check(self, target: HoldTarget, find_project_id: FindProjectId | None = None) -> None:
        """Check that nothing holds `target`. Reads the register from disk each time.

        `find_project_id` is asked if `target` does not say its project's number and a hold depends on it.

        Raises:
            Held: a hold or the tag `legal-hold` stands in the way, or the register cannot be read.
        """
        why = why_held(self.read(), target, find_project_id)
        if why is not None:
            run = f"{target.entity}/{target.project}/{target.run_id}"
            raise Held(f"run {run!r} {why}; nothing was done. {_HOW_TO_LIFT}")

    def _file(self) -> Path:
        return Path(os.path.realpath(self.path))

    def _unreadable(self, why: str) -> Held:
        return Held(
            f"the hold register {str(self.path)!r} cannot be read: {why}. Everything counts as held "
            "until it can"
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(f"{self._file()}.lock", timeout=_LOCK_TIMEOUT_S)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise StoreError(
                f"the hold register {str(self.path)!r} is locked by another process; try again"
            ) from error
        except OSError as error:
            raise StoreError(f"cannot write beside {str(self.path)!r}: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()

    def _write(self, register: _Register) -> None:
        content = msgspec.json.format(msgspec.json.encode(register), indent=2)
        path = self._file()  # behind a link: replacing the link would leave others with the old one
        fresh = path.with_suffix(".new")
        try:
            fresh.unlink(missing_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                # A file that is there keeps its mode: colleagues keep their access.
                os.fchmod(file.fileno(), path.stat().st_mode & 0o7777 if path.exists() else 0o600)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError as error:
            raise StoreError(
                f"cannot write the hold register {str(self.path)!r}: {error.strerror}"
            ) from error


def why_held(
    holds: Iterable[Hold], target: HoldTarget, find_project_id: FindProjectId | None = None
) -> str | None:
    """Say what holds `target`, as the end of a sentence about it; None where nothing does.

    `find_project_id` is asked if `target` does not say its project's number and a hold depends on it.
    """
    holds = list(holds)
    depends = target.project_id is None and any(hold.project_id is not None for hold in holds)
    if depends and find_project_id is not None:
        target = msgspec.structs.replace(target, project_id=find_project_id(target.project_path))
    found = [f"{hold.id} ({hold.kind}, {hold.reason})" for hold in holds if _covers(hold, target)]
    if found:
        return f"is held by {', '.join(found)}"
    return f"carries the tag {HOLD_TAG!r}" if HOLD_TAG in target.tags else None


def _make_hold(kind: str, value: str, reason: str, added_by: str, now: datetime) -> Hold:
    if kind not in KINDS:
        raise UsageError(f"unknown kind of hold {kind!r}: one of {', '.join(KINDS)}")
    value = value.strip().strip("/")
    if not value:
        raise UsageError(f"a hold by {kind} needs a value")
    if not reason.strip():
        raise UsageError("a hold needs a reason: a reference such as a case number")
    return Hold(
        id="H0",
        kind=cast("Kind", kind),
        value=_canonical(kind, value),
        reason=reason.strip(),
        added_at=format_datetime(now),
        added_by=added_by,
    )


def _canonical(kind: str, value: str) -> str:
    """The value as targets spell it; a hold on a name that no run can have would hold nothing.

    Blanks around a part are slips here: a project whose name has some is written with %20.
    """
    if kind in ("run", "project"):
        value = "/".join(part.strip() for part in value.split("/"))
    try:
        match kind:
            case "run":
                return str(parse_listed_run(value))
            case "project":
                return str(parse_project_path(value))
    except UsageError as error:
        form = "entity/project/run" if kind == "run" else "entity/project"
        raise UsageError(f"a hold by {kind} names {form}, not {value!r}") from error
    return value


def _covers(hold: Hold, target: HoldTarget) -> bool:
    match hold.kind:
        case "run":
            return _covers_run(hold, target)
        case "project":
            return _covers_project(hold, target)
        case "tag":
            return hold.value in target.tags
        case "user":
            # An unknown owner may be the held one.
            return target.user is None or hold.value == target.user


def _covers_run(hold: Hold, target: HoldTarget) -> bool:
    """A run keeps its id and its time of creation when it is moved."""
    if hold.value == f"{target.project_path}/{target.run_id}":
        return True
    entity, _, run_id = (*hold.value.split("/", 2), "", "")[:3]
    if run_id != target.run_id:
        return False
    if hold.created_at is None or target.created_at is None:
        return entity == target.entity
    return same_instant(hold.created_at, target.created_at)


def _covers_project(hold: Hold, target: HoldTarget) -> bool:
    """A project keeps its number when it is renamed."""
    if hold.value == str(target.project_path):
        return True
    if hold.project_id is None:
        return False
    if target.project_id is None:
        return hold.value.partition("/")[0] == target.entity  # it may be the renamed one
    return hold.project_id == target.project_id
