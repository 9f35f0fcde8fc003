"""Create and change runs. Every change is read before and read again after."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wbgql.cautions import warn
from wbgql.documents import Operation, Result
from wbgql.edits import ABSENT, Change, Edits, KeyPath, Values
from wbgql.errors import NotFound, PartialError, StillLogging, UnknownKeyWarning, UsageError
from wbgql.expressions import check_state
from wbgql.mutations import send_once
from wbgql.paths import RunPath
from wbgql.runs import LOGGING_STATES, Run, get_run
from wbgql.scalars import dump_json, parse_json
from wbgql.session import Session


class _Bucket(Result, frozen=True):
    id: str
    name: str


class _Upserted(Result, frozen=True):
    inserted: bool | None
    run: _Bucket | None


class _UpsertRun(Result, frozen=True):
    upsert_bucket: _Upserted | None


UPSERT_RUN = Operation("UpsertRun", _UpsertRun)
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
        """Send the change once, and read the run again. Two requests.

        If the answer is lost, the run is read, and the change is sent once more only if the read shows that
        it was not applied.

        Raises:
            PartialError: the server acknowledged, but a re-read shows other values.
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
        # The storage id spells out entity and project: with it the server takes no other names.
        names = {"id": self.before.storage_id} if self.before else _names(self.path)
        had_to_change = self._differences(self.before, expected)
        attempts = 0
        while True:
            attempts += 1
            lost = send_once(self.session, UPSERT_RUN, names | variables)
            after = (
                _get_or_none(self.session, self.path)
                if lost is not None
                else get_run(self.session, self.path, exact=True)
            )
            if after is not None and self.before is None:
                self.session.changes.note(made=after.storage_id)
            left = self._differences(after, expected)
            if after is not None and not left:
                return Upsert(run=after, inserted=self.before is None, changes=self.changes)
            if lost is None or (after is not None and left != had_to_change):
                raise PartialError(
                    f"run {str(self.path)!r}: the server took the change, but a re-read shows another value "
                    f"of {', '.join(left)}; something else writes to this run, or the server does not store "
                    "the value; read it again before repeating",
                    failed=left,
                )
            if attempts == 2:
                raise lost

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
