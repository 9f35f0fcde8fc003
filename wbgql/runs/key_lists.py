"""Looks keys up in the lists of typed keys that projects have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized

from wbgql.errors import NotFound, RequestError
from wbgql.expressions import FieldPath
from wbgql.paths import ProjectPath
from wbgql.projects import INTERNAL, ListedFields, list_fields
from wbgql.runs.keys import KnownKeys
from wbgql.wire.session import Session

# The keys that one request brings. Where a project has more, the keys in question are searched for.
_FIRST = 1000
# A list is read to here where searching finds nothing: a server may read patterns in its own way.
_MOST = 10_000
# The keys of at most this number of projects are looked up.
PROJECTS_LOOKED_AT = 10
# Below this length, half a name is part of too many others.
_SHORTEST = 4


def runs_of(scope: object, looked_at: Sequence[ProjectPath], read: Sized) -> str:
    """Name the runs that were looked at, for a message: all of a scope, or of its first projects."""
    if len(looked_at) == len(read):
        return repr(str(scope))
    return f"the first {len(looked_at)} of {len(read)} projects of {str(scope)!r}"


def look_up_keys(
    session: Session, projects: Sequence[ProjectPath], paths: Iterable[FieldPath]
) -> KnownKeys | None:
    """Return what the projects' lists say of `paths`, or None where a server has no such lists.

    One request for each project; where it has more than 1000 keys, one to three more for each path, and
    where that finds nothing, up to nine for the rest of the list.
    """
    asked = [path for path in paths if path.section != "run" and path.parts[0] != INTERNAL]
    known, everywhere = KnownKeys(), set(asked)
    for project in projects:
        try:
            absent = _look_up(session, project, asked, known)
        except NotFound:
            continue
        except RequestError:
            return None
        if absent is None:
            return None
        everywhere &= absent
    known.surely_absent = everywhere
    return known


def _look_up(
    session: Session, project: ProjectPath, asked: Sequence[FieldPath], known: KnownKeys
) -> set[FieldPath] | None:
    """Add what one project lists, and return the paths it surely lacks; None where it lists nothing."""
    here = KnownKeys()
    listed = _read(session, project, here, known, most=_FIRST)
    if listed is None:
        return None
    if listed.complete:
        return {path for path in asked if not here.has(path)}
    absent = {
        path
        for path in asked
        if not here.has(path) and _searched_in_vain(session, project, path, here, known)
    }
    if all(here.has(path) or path in absent for path in asked):
        known.complete = False
        return absent
    listed = _read(session, project, here, known, most=_MOST)
    if listed is not None and listed.complete:
        return {path for path in asked if not here.has(path)}
    known.complete = False
    return absent


def _searched_in_vain(
    session: Session, project: ProjectPath, path: FieldPath, here: KnownKeys, known: KnownKeys
) -> bool:
    """Search for a key by its name and by each half of it: a slip leaves one half as it was.

    Whether it is surely absent: the search was not cut, and it found names that only hold the text, so
    that the server searches as is meant here.
    """
    finds_parts, whole = False, True
    for text in _patterns(path.parts[-1]):
        listed = _read(session, project, here, known, most=_FIRST, pattern=text)
        if here.has(path):
            return False
        whole = whole and listed is not None and listed.complete
        finds_parts = finds_parts or (listed is not None and bool(listed.fields))
    return whole and finds_parts


def _patterns(name: str) -> Iterator[str]:
    yield name
    half = len(name) // 2
    if half * 2 >= _SHORTEST:
        yield from (name[:half], name[half:])


def _read(
    session: Session,
    project: ProjectPath,
    *into: KnownKeys,
    most: int,
    pattern: str | None = None,
) -> ListedFields | None:
    listed = list_fields(session, project, most=most, pattern=pattern)
    for known in into:
        for field in listed.fields if listed is not None else ():
            known.types.setdefault(field.path, set()).add(field.type)
    return listed
