"""Create and change runs. Every change is read before and read again after."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wbgql.cautions import warn
from wbgql.documents import Operation, Result
from wbgql.edits import ABSENT, Change, Edits, KeyPath, Values
from wbgql.errors import (
    NotFound,
    PartialError,
    RequestError,
    ResponseError,
    StillLogging,
    UnknownKeyWarning,
    UsageError,
    WbgqlError,
)
from wbgql.expressions import check_state
from wbgql.paths import RunPath
from wbgql.runs import LOGGING_STATES, Run, get_run
from wbgql.scalars import dump_json, parse_json
from wbgql.wire.mutations import check_storage_id, not_applied, not_known, refuses, reread_after_s, send_once
from wbgql.wire.session import Session


class _Entity(Result, frozen=True):
    name: str


class _Project(Result, frozen=True):
    name: str
    entity: _Entity | None


class _Bucket(Result, frozen=True):
    id: str
    name: str
    project: _Project | None


class _Upserted(Result, frozen=True):
    inserted: bool | None
    run: _Bucket | None


class _UpsertRun(Result, frozen=True):
    upsert_bucket: _Upserted | None


UPSERT_RUN = Operation("UpsertRun", _UpsertRun, names="own")
OPERATIONS: tuple[Operation[Any], ...] = (UPSERT_RUN,)

# GraphQL's name of each attribute that an upsert can set.
_ATTRIBUTES = {
    "display_name": "displayName",
    "notes": "notes",
    "tags": "tags",
    "group": "group",
    "job_type": "jobType",
    "state": "state",
}


@dataclass(frozen=True, slots=True)
class Upsert:
    """What an upsert did: the run as it was read back, whether it was created, and what changed."""

    run: Run
    inserted: bool
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a run should hold; see `upsert_run`. None leaves a field as it is.

    Raises:
        UsageError: no such state, a tag or key that cannot be meant, or a value without a JSON form.
    """

    display_name: str | None = None
    notes: str | None = None
    tags: Iterable[str] | None = None
    group: str | None = None
    job_type: str | None = None
    state: str | None = None
    config: Values | None = None
    summary: Values | None = None
    unset_config: Iterable[KeyPath] = ()
    unset_summary: Iterable[KeyPath] = ()
    replace: bool = False
    attributes: dict[str, Any] = field(init=False)
    edits: tuple[Edits, Edits] = field(init=False)

    def __post_init__(self) -> None:
        if self.state is not None:
            check_state("state", self.state)
        attributes = {name: getattr(self, name) for name in _ATTRIBUTES}
        if self.tags is not None:
            attributes["tags"] = _checked_tags(self.tags)
        edits = (
            Edits(
                section="config", set=self.config or {}, unset=_keys(self.unset_config), replace=self.replace
            ),
            Edits(
                section="summary",
                set=self.summary or {},
                unset=_keys(self.unset_summary),
                replace=self.replace,
            ),
        )
        object.__setattr__(
            self, "attributes", {name: value for name, value in attributes.items() if value is not None}
        )
        object.__setattr__(self, "edits", edits)


@dataclass(frozen=True, slots=True)
class Draft:
    """A change that was compared with the run as it is, and not sent. `before` is None for a new run."""

    session: Session
    path: RunPath
    before: Run | None
    wanted: Wanted
    changes: tuple[Change, ...]

    def send(self) -> Upsert:
        """Send the change once, and read the run again. Two requests; up to two more while a replica lags.

        If the answer is no acknowledgement, the reads tell what was done, and the change is sent once more
        only if they show that nothing of it was applied.

        Raises:
            PartialError: the server wrote to another run, or the reads show other values. `.done` names what
                was applied, `.failed` what was not.
            RequestError: the reads show that the change was not applied. With `.maybe_applied`: no read could
                tell.
        """
        variables: dict[str, Any] = {
            _ATTRIBUTES[name]: value for name, value in self.wanted.attributes.items()
        }
        expected = [edits.apply(_values(self.before, edits.section)) for edits in self.wanted.edits]
        config, summary = expected
        if config:
            variables["config"] = dump_json(_wrapped(self.before, config))
        if summary:
            variables["summary"] = dump_json(_without_absent({**_values(self.before, "summary"), **summary}))
        # W&B's servers take the storage id where there is one. openwandb 0.5.25 reads it as a name, and
        # makes a run of that name unless the names come along (measured 2026-12). The SDK sends both too.
        names = _names(self.path) | ({"id": self.before.storage_id} if self.before else {})
        had_to_change = self._differences(self.before, expected)
        for is_last in (False, True):
            sent = send_once(self.session, UPSERT_RUN, names | variables)
            try:
                after, left = self._read_after(expected, reread_after_s(sent.lost))
            except WbgqlError as error:
                not_known(error, f"the change of run {str(self.path)!r}", sent.lost)
                raise
            self._refuse_stray(sent.answer, after, [name for name in had_to_change if name not in left])
            if after is not None and not left:
                made = self.before is None
                return Upsert(run=after, inserted=made, changes=self.changes)
            if after is not None and (sent.lost is None or left != had_to_change):
                raise self._other_values(sent.lost, left, [one for one in had_to_change if one not in left])
            if sent.lost is None:
                raise not_applied(NotFound.run(self.path, operation=UPSERT_RUN.name))
            if is_last or refuses(sent.lost):
                raise not_applied(sent.lost)
        raise AssertionError  # pragma: no cover - the last round returns or raises

    def _read_after(
        self, expected: list[dict[str, Any]], waits_s: Sequence[float]
    ) -> tuple[Run | None, list[str]]:
        """Read the run, and again after each wait until it is as wanted; return it and what it lacks."""
        for wait_s in (*waits_s, None):
            after = _get_or_none(self.session, self.path)
            left = self._differences(after, expected)
            if after is not None and self.before is not None and after.storage_id != self.before.storage_id:
                raise ResponseError(
                    f"run {str(self.path)!r} has another storage id than before the change: another "
                    "run was made or moved here meanwhile",
                    operation=UPSERT_RUN.name,
                )
            if wait_s is None or (after is not None and not left):
                break
            self.session.sleep(wait_s)
        if after is not None and self.before is None:
            self.session.changes.note(made=after.storage_id)
        return after, left

    def _refuse_stray(self, answer: _UpsertRun | None, after: Run | None, applied: list[str]) -> None:
        """Raise if the server's answer is about another run than the one that was meant."""
        payload = answer.upsert_bucket if answer is not None else None
        bucket = payload.run if payload is not None else None
        if bucket is None:
            return
        home = bucket.project
        known = self.before or after
        if home is not None and home.entity is not None:
            where = f"{home.entity.name}/{home.name}/{bucket.name}"
            meant = where == str(self.path)
        else:
            where = bucket.name
            meant = where == self.path.run_id and (known is None or known.storage_id == bucket.id)
        if not meant:
            raise PartialError(
                f"run {str(self.path)!r}: the server wrote to run {where!r} (storage id {bucket.id!r}) "
                "instead, and may have made it just now: look at it, and delete it if it is not yours. A "
                f"read of {str(self.path)!r} shows: {_named(applied, 'was changed', 'nothing was changed')}",
                done=[where],
                failed=[str(self.path)],
            )

    def _other_values(self, lost: RequestError | None, left: list[str], applied: list[str]) -> PartialError:
        took = "the server took the change" if lost is None else f"the server did not acknowledge ({lost})"
        return PartialError(
            f"run {str(self.path)!r}: {took}, and a re-read shows another value of {', '.join(left)}; "
            f"{_named(applied, 'was applied', 'nothing was applied')}. Another process may write to this "
            "run, or the server does not store the value; read it again before repeating",
            done=applied,
            failed=left,
        )

    def _differences(self, run: Run | None, expected: list[dict[str, Any]]) -> list[str]:
        """Name what a run does not have as it is wanted; nothing of a run that is not there."""
        if run is None:
            return []
        found = [
            _ATTRIBUTES[name]
            for name, value in self.wanted.attributes.items()
            if not _is_as_wanted(run, name, value)
        ]
        for edits, wanted in zip(self.wanted.edits, expected, strict=True):
            found += edits.differences(wanted, _values(run, edits.section))
        return found


def draft_upsert(session: Session, path: RunPath, wanted: Wanted, *, force: bool = False) -> Draft:
    """Read the run and say what `wanted` would change of it. One request; nothing is sent.

    A key to remove that the run does not have is no error; an `UnknownKeyWarning` names near keys.

    Raises:
        StillLogging: the run is being logged, and `force` is not set.
        UsageError: an object would lose keys, and `replace` is not set.
    """
    return _draft(session, path, _get_or_none(session, path), wanted, force=force)


def _draft(session: Session, path: RunPath, before: Run | None, wanted: Wanted, *, force: bool) -> Draft:
    if before is not None:
        check_storage_id(path, before.storage_id)
    if before is not None and before.state in LOGGING_STATES and not force:
        raise StillLogging(
            f"run {str(path)!r} is {before.state}: the SDK that logs it overwrites config, summary and tags "
            "when it finishes, so the change may be lost; wait for it, or force"
        )
    changes = []
    for name, value in wanted.attributes.items():
        if before is None or not _is_as_wanted(before, name, value):
            changes.append(Change(name, ABSENT if before is None else _attribute(before, name), value))
    for edits in wanted.edits:
        values = _values(before, edits.section)
        changes += edits.changes(values)
        for absent in edits.absent(values):
            near = difflib.get_close_matches(absent[0], values, n=3)
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
            message = f"run {str(path)!r} has no {edits.name(absent)} to remove{hint}"
            warn(UnknownKeyWarning(message, near))
    return Draft(session, path, before, wanted, tuple(changes))


def upsert_run(
    session: Session,
    path: RunPath,
    *,
    display_name: str | None = None,
    notes: str | None = None,
    tags: Iterable[str] | None = None,
    group: str | None = None,
    job_type: str | None = None,
    config: Values | None = None,
    summary: Values | None = None,
    unset_config: Iterable[KeyPath] = (),
    unset_summary: Iterable[KeyPath] = (),
    state: str | None = None,
    replace: bool = False,
    force: bool = False,
) -> Upsert:
    """Create the run `path` or change it. None leaves a field as it is.

    An empty text clears `group`, `job_type` or `notes`; an empty `display_name` makes the server show the
    run's id or nothing. `tags` replaces all tags. `config` and `summary` set the keys given and keep the
    others; `unset_config` and `unset_summary` remove keys. A value of None is stored as null. A tuple names
    a key inside objects: `config={("model", "depth"): 3}`. A new value that drops keys of an object is
    refused without `replace`. Without `state`, a new run is "running" until the server takes it for crashed.

    Three requests. If the answer is lost, the run is read, and the change is sent once more only if the
    read shows that it was not applied.

    Raises:
        UsageError: a value, key, tag or state that cannot be stored as it was meant.
        StillLogging: the run is being logged, and `force` is not set.
        PartialError: the server acknowledged, but a re-read shows other values.
    """
    wanted = Wanted(
        display_name=display_name,
        notes=notes,
        tags=tags,
        group=group,
        job_type=job_type,
        config=config,
        summary=summary,
        unset_config=unset_config,
        unset_summary=unset_summary,
        state=state,
        replace=replace,
    )
    return draft_upsert(session, path, wanted, force=force).send()


def set_tags(session: Session, path: RunPath, tags: Iterable[str], *, force: bool = False) -> Run:
    """Replace all tags of a run; an empty list removes them. Three requests.

    Raises:
        NotFound: no such run.
        StillLogging: the run is being logged, and `force` is not set.
        PartialError: a re-read shows other tags.
    """
    return _set_tags(session, get_run(session, path, exact=True), _checked_tags(tags), force=force)


def add_tags(session: Session, path: RunPath, *tags: str, force: bool = False) -> Run:
    """Add tags to those a run has. Three requests; none sent where all are there already.

    Raises: as `set_tags`.
    """
    run = get_run(session, path, exact=True)
    return _set_tags(session, run, [*run.tags, *_checked_tags(tags)], force=force)


def remove_tags(session: Session, path: RunPath, *tags: str, force: bool = False) -> Run:
    """Remove tags from those a run has. Three requests; none sent where none is there.

    Raises: as `set_tags`.
    """
    run = get_run(session, path, exact=True)
    gone = set(_checked_tags(tags))
    return _set_tags(session, run, [tag for tag in run.tags if tag not in gone], force=force)


def set_config(
    session: Session, path: RunPath, values: Values, *, replace: bool = False, force: bool = False
) -> Run:
    """Set config keys of a run and keep the others, and the description of each. Three requests.

    A tuple names a key inside objects. A new value that drops keys of an object needs `replace`.

    Raises: as `set_tags`; UsageError if an object would lose keys.
    """
    return _update(session, path, Wanted(config=values, replace=replace), force=force)


def set_summary(
    session: Session, path: RunPath, values: Values, *, replace: bool = False, force: bool = False
) -> Run:
    """Set summary keys of a run and keep the others; as `set_config`. Three requests.

    NaN and infinities are stored as the strings W&B uses for them.

    Raises: as `set_config`.
    """
    return _update(session, path, Wanted(summary=values, replace=replace), force=force)


def unset_config(session: Session, path: RunPath, *keys: KeyPath, force: bool = False) -> Run:
    """Remove config keys of a run. Three requests.

    A tuple names a key inside objects. A key that the run does not have is no error: an `UnknownKeyWarning`
    names near ones.

    Raises: as `set_tags`; PartialError if a re-read still shows a key.
    """
    return _update(session, path, Wanted(unset_config=keys), force=force)


def unset_summary(session: Session, path: RunPath, *keys: KeyPath, force: bool = False) -> Run:
    """Remove summary keys of a run, as `unset_config` does. The logged history keeps its values.

    Raises: as `unset_config`.
    """
    return _update(session, path, Wanted(unset_summary=keys), force=force)


def _update(session: Session, path: RunPath, wanted: Wanted, *, force: bool) -> Run:
    return _draft(session, path, get_run(session, path, exact=True), wanted, force=force).send().run


def _set_tags(session: Session, run: Run, tags: list[str], *, force: bool) -> Run:
    tags = list(dict.fromkeys(tags))
    if tags == list(run.tags):
        return run
    return _draft(session, run.path, run, Wanted(tags=tags), force=force).send().run


def _named(names: list[str], done: str, nothing: str) -> str:
    return f"{', '.join(names)} {done}" if names else nothing


def _names(path: RunPath) -> dict[str, str]:
    return {"entity": path.entity, "project": path.project, "name": path.run_id}


def _get_or_none(session: Session, path: RunPath) -> Run | None:
    try:
        return get_run(session, path, exact=True)
    except NotFound:
        return None


def _keys(keys: Iterable[KeyPath]) -> tuple[KeyPath, ...]:
    if isinstance(keys, str):
        raise UsageError(f"give a list of keys to remove, not the text {keys!r}")
    listed = list(keys)
    return tuple(key for number, key in enumerate(listed) if key not in listed[:number])


def _checked_tags(tags: Iterable[str]) -> list[str]:
    if isinstance(tags, str):
        raise UsageError(f"tags are a list of strings, not the string {tags!r}")
    tags = list(tags)
    for tag in tags:
        if not isinstance(tag, str) or not tag.strip():
            raise UsageError(f"a tag is a string with something in it, not {tag!r}")
    return list(dict.fromkeys(tags))


def _attribute(run: Run, name: str) -> Any:
    return list(run.tags) if name == "tags" else getattr(run, name)


def _is_as_wanted(run: Run, name: str, value: Any) -> bool:
    found = _attribute(run, name)
    if name == "tags":
        return sorted(found) == sorted(value)
    if value == "":
        # Servers may store an empty text as null, and show the id for a run without a label.
        return not found or (name == "display_name" and found == run.id)
    return bool(found == value)


def _values(run: Run | None, section: str) -> dict[str, Any]:
    if run is None:
        return {}
    return run.config if section == "config" else run.summary


def _wrapped(before: Run | None, changed: Mapping[str, Any]) -> dict[str, Any]:
    """The whole config as it travels: the changes, and all else as it was, descriptions included."""
    entries: dict[str, Any] = parse_json(before.raw_config) if before and before.raw_config else {}
    for key, value in changed.items():
        entry = entries.get(key)
        kept = entry if isinstance(entry, dict) and "value" in entry else {}
        entries[key] = ABSENT if value is ABSENT else {**kept, "value": value}
    return _without_absent(entries)


def _without_absent(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not ABSENT}
