"""Create and change runs. Every change is read before and read again after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wbgql.documents import Operation, Result
from wbgql.errors import NotFound, PartialError, StillLogging, UsageError
from wbgql.mutations import send_once
from wbgql.paths import RunPath
from wbgql.runs import LOGGING_STATES, Run, get_run
from wbgql.scalars import dump_json, parse_json, to_safe_json
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


@dataclass(frozen=True, slots=True)
class Upsert:
    """What an upsert did: the run as it was read back, and whether it was made anew."""

    run: Run
    inserted: bool


def upsert_run(
    session: Session,
    path: RunPath,
    *,
    display_name: str | None = None,
    notes: str | None = None,
    tags: Iterable[str] | None = None,
    group: str | None = None,
    job_type: str | None = None,
    config: Mapping[str, Any] | None = None,
    summary: Mapping[str, Any] | None = None,
    state: str | None = None,
    force: bool = False,
) -> Upsert:
    """Create the run `path` or change it. None leaves a field as it is.

    `tags` replaces all tags. `config` and `summary` set the keys given and keep the others (the wire
    replaces the whole; the rest is read first and sent along). Three requests. If the answer is
    lost, the run is read, and the change is sent once more only if the read shows that it was not applied.

    Raises:
        StillLogging: the run is being logged, and `force` is not set.
        PartialError: the server acknowledged, but a re-read shows other values.
    """
    before = _get_or_none(session, path)
    if before is not None:
        _refuse_while_logging(before, force=force)
    wanted = {
        "displayName": display_name,
        "notes": notes,
        "tags": _checked_tags(tags) if tags is not None else None,
        "group": group,
        "jobType": job_type,
        "state": state,
    }
    return _write(session, path, before, wanted, config, summary)


def set_tags(session: Session, path: RunPath, tags: Iterable[str], *, force: bool = False) -> Run:
    """Replace all tags of a run; an empty list removes them. Three requests.

    Raises:
        NotFound: no such run.
        StillLogging: the run is being logged, and `force` is not set.
        PartialError: a re-read shows other tags.
    """
    return _set_tags(session, get_run(session, path), _checked_tags(tags), force=force)


def add_tags(session: Session, path: RunPath, *tags: str, force: bool = False) -> Run:
    """Add tags to those a run has. Three requests; none sent where all are there already.

    Raises: as `set_tags`.
    """
    run = get_run(session, path)
    return _set_tags(session, run, [*run.tags, *_checked_tags(tags)], force=force)


def remove_tags(session: Session, path: RunPath, *tags: str, force: bool = False) -> Run:
    """Remove tags from those a run has. Three requests; none sent where none is there.

    Raises: as `set_tags`.
    """
    run = get_run(session, path)
    gone = set(_checked_tags(tags))
    return _set_tags(session, run, [tag for tag in run.tags if tag not in gone], force=force)


def set_config(session: Session, path: RunPath, values: Mapping[str, Any], *, force: bool = False) -> Run:
    """Set config keys of a run and keep the others. Three requests.

    Raises: as `set_tags`.
    """
    return _update(session, path, config=values, force=force)


def set_summary(session: Session, path: RunPath, values: Mapping[str, Any], *, force: bool = False) -> Run:
    """Set summary keys of a run and keep the others. Three requests.

    NaN and infinities are stored as the strings W&B uses for them.

    Raises: as `set_tags`.
    """
    return _update(session, path, summary=values, force=force)


def _update(
    session: Session,
    path: RunPath,
    *,
    config: Mapping[str, Any] | None = None,
    summary: Mapping[str, Any] | None = None,
    force: bool,
) -> Run:
    before = get_run(session, path)
    _refuse_while_logging(before, force=force)
    return _write(session, path, before, {}, config, summary).run


def _set_tags(session: Session, run: Run, tags: list[str], *, force: bool) -> Run:
    tags = list(dict.fromkeys(tags))
    if tags == list(run.tags):
        return run
    _refuse_while_logging(run, force=force)
    return _write(session, run.path, run, {"tags": tags}, None, None).run


def _write(
    session: Session,
    path: RunPath,
    before: Run | None,
    wanted: Mapping[str, Any],
    config: Mapping[str, Any] | None,
    summary: Mapping[str, Any] | None,
) -> Upsert:
    variables: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    if config:
        variables["config"] = _merged_config(before, config)
    if summary:
        variables["summary"] = _merged_summary(before, summary)
    # The storage id spells out entity and project: with it the server needs no names, and takes no others.
    names = {"id": before.storage_id} if before else _names(path)
    values = (wanted, config or {}, summary or {})
    had_to_change = _differences(before, *values)
    attempts = 0
    while True:
        attempts += 1
        lost = send_once(session, UPSERT_RUN, names | variables)
        after = _get_or_none(session, path) if lost is not None else get_run(session, path)
        left = _differences(after, *values)
        if after is not None and not left:
            return Upsert(run=after, inserted=before is None)
        if lost is None or (after is not None and left != had_to_change):
            raise PartialError(
                f"run {str(path)!r}: the server took the change, but a re-read shows another value of "
                f"{', '.join(left)}; something else writes to this run, read it again before repeating",
                failed=left,
            )
        if attempts == 2:
            raise lost


def _names(path: RunPath) -> dict[str, str]:
    return {"entity": path.entity, "project": path.project, "name": path.run_id}


def _get_or_none(session: Session, path: RunPath) -> Run | None:
    try:
        return get_run(session, path)
    except NotFound:
        return None


def _refuse_while_logging(run: Run, *, force: bool) -> None:
    if run.state in LOGGING_STATES and not force:
        raise StillLogging(
            f"run {str(run.path)!r} is {run.state}: the SDK that logs it overwrites config, summary and tags "
            "when it finishes, so the change may be lost; wait for it, or force"
        )


def _checked_tags(tags: Iterable[str]) -> list[str]:
    if isinstance(tags, str):
        raise UsageError(f"tags are a list of strings, not the string {tags!r}")
    tags = list(tags)
    for tag in tags:
        if not isinstance(tag, str) or not tag.strip():
            raise UsageError(f"a tag is a string with something in it, not {tag!r}")
    return tags


def _merged_config(before: Run | None, values: Mapping[str, Any]) -> str:
    known = parse_json(before.raw_config) if before and before.raw_config else {}
    merged = {**known, **{key: {"value": value} for key, value in values.items()}}
    return _dump(merged, "config")


def _merged_summary(before: Run | None, values: Mapping[str, Any]) -> str:
    known = before.summary if before else {}
    return _dump({**known, **values}, "summary")


def _dump(values: dict[str, Any], what: str) -> str:
    try:
        return dump_json(values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"a {what} value has no JSON form: {error}") from error


def _differences(
    run: Run | None, wanted: Mapping[str, Any], config: Mapping[str, Any], summary: Mapping[str, Any]
) -> list[str]:
    """Name the values that a run does not have as they are wanted; nothing of a run that is not there."""
    if run is None:
        return []
    seen = {
        "displayName": run.display_name,
        "notes": run.notes,
        "tags": list(run.tags),
        "group": run.group,
        "jobType": run.job_type,
        "state": run.state,
    }
    other = [
        name
        for name, value in wanted.items()
        if value is not None and _comparable(name, value) != _comparable(name, seen[name])
    ]
    other += [
        f"config[{key!r}]" for key, value in config.items() if run.config.get(key) != to_safe_json(value)
    ]
    other += [
        f"summary[{key!r}]"
        for key, value in summary.items()
        if to_safe_json(run.summary.get(key)) != to_safe_json(value)
    ]
    return other


def _comparable(name: str, value: Any) -> Any:
    return sorted(value) if name == "tags" else value
