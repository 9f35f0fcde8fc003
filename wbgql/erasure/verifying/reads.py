"""Asks for many runs, versions and collections at once: each is present, absent, or cannot be told."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from wbgql.artifacts import get_artifact
from wbgql.documents import NOT_FETCHED
from wbgql.erasure.verifying.controls import NEWEST_FIRST, Control, find_control
from wbgql.erasure.verifying.operations import (
    BATCH,
    GET_DELETED_MARK,
    LOOK_UP_COLLECTIONS,
    LOOK_UP_RUNS,
    LOOK_UP_VERSIONS,
    FoundCollection,
)
from wbgql.erasure.verifying.settling import Answer
from wbgql.errors import NotFound, PermissionDenied, ResponseError
from wbgql.paths import ProjectPath, RunPath
from wbgql.runs import iter_run_ids, list_run_ids
from wbgql.wire.session import Session

T = TypeVar("T")

_ANSWERS: Mapping[str, Answer] = {"DELETED": "absent"}
# Ids that one filter names: a request of some 10 KB.
_IDS_PER_LIST = 500
# Larger than any id that is given out, and still a whole number to every JSON reader.
_BEYOND_ALL_IDS = 1 << 52


class Reads:
    """Reads through one session. `claimed`: run ids by project that are to be gone: none is a control.

    `new_id` makes ids that nobody has. Not for several threads.
    """

    def __init__(
        self, session: Session, claimed: Mapping[ProjectPath, Collection[str]], new_id: Callable[[], str]
    ) -> None:
        self.session = session
        self.controls: dict[ProjectPath, Control] = {}
        self.shows_deleted = False
        self._claimed = claimed
        self._new_id = new_id
        self._knows_deleted = True
        self._null_is_error = False
        self._fresh: set[ProjectPath] = set()

    def renew_controls(self) -> None:
        """Let the next question about a project choose its control again.

        What a project showed last stays in `controls`: where all has settled, nothing is asked there again.
        """
        self._fresh.clear()

    def control(self, project: ProjectPath) -> Control:
        """The control of a project, chosen when it is first asked for. See `find_control`."""
        if project not in self._fresh:
            claimed = self._claimed.get(project, ())
            self.controls[project] = find_control(self.session, project, claimed, self._new_id)
            self._fresh.add(project)
        return self.controls[project]

    def live_runs(self, project: ProjectPath, limit: int) -> Iterator[str]:
        """Yield the newest runs of a project that are no claimed ones, as far as it can be read."""
        if self.control(project).run is None:
            return
        newest = iter_run_ids(self.session, project, order=NEWEST_FIRST, page_size=limit)
        claimed = self._claimed.get(project, ())
        try:
            yield from islice((node.name for node in newest if node.name not in claimed), limit)
        except (NotFound, PermissionDenied):
            return

    def runs(self, project: ProjectPath, run_ids: Sequence[str]) -> dict[str, Answer]:
        """Ask for runs by a list and one by one. About n / 500 + n / 25 requests.

        Present: either shows it. Absent: neither does, and in both answers the control was visible and the
        random id was not. A run that is shown with the time of its deletion counts as absent.
        """
        control = self.control(project)
        try:
            listed, listing_holds = self._list(project, run_ids, control)
            looked_up = self._look_up(project, run_ids, control)
        except (NotFound, PermissionDenied):
            return dict.fromkeys(run_ids, "unknown")
        answers: dict[str, Answer] = {}
        for run_id in run_ids:
            one = looked_up[run_id]
            if run_id in listed or (one == "present" and not self._is_marked_deleted(project, run_id)):
                answers[run_id] = "present"
            elif one == "unknown" or not listing_holds:
                answers[run_id] = "unknown"
            else:
                answers[run_id] = "absent"
        return answers

    def versions(self, project: ProjectPath, artifact_ids: Sequence[str]) -> dict[str, Answer]:
        """Ask for artifact versions by id. n / 25 requests; n where the server calls a missing one an error.

        The state DELETED is absent whatever the controls say; null is, where the project's control holds.
        """
        answers: dict[str, Answer] = {}
        for batch in batches(artifact_ids, BATCH):
            random = make_artifact_id(self._new_id())
            states = self._states(batch, random)
            null: Answer = "absent" if states[random] is None and self.control(project).holds else "unknown"
            for artifact_id in batch:
                state = states[artifact_id]
                answers[artifact_id] = null if state is None else _ANSWERS.get(state, "present")
        return answers

    def collections(self, project: ProjectPath, names: Sequence[str]) -> dict[str, FoundCollection | None]:
        """Ask for artifact collections by name; leave out what cannot be told. n / 25 requests."""
        found: dict[str, FoundCollection | None] = {}
        if not self.control(project).holds:
            return found
        for batch in batches(names, BATCH):
            places = _places("c", batch, batch[0])
            try:
                seen = self.session.execute(LOOK_UP_COLLECTIONS, **_names(project), **places).project
            except (NotFound, PermissionDenied, ResponseError):
                continue  # refused, or a server that cannot be asked so: nothing is said of these
            if _is(seen, project):
                found |= {name: getattr(seen, f"c{place}") for place, name in enumerate(batch)}
        return found

    def _states(self, batch: Sequence[str], random: str) -> dict[str, str | None]:
        """The state of each version and of the random one; None for null."""
        if not self._null_is_error:
            try:
                seen = self.session.execute(LOOK_UP_VERSIONS, random=random, **_places("a", batch, random))
            except NotFound:
                self._null_is_error = True
            else:
                found = {artifact_id: getattr(seen, f"a{place}") for place, artifact_id in enumerate(batch)}
                found[random] = seen.random
                return {artifact_id: version and version.state for artifact_id, version in found.items()}
        return {artifact_id: self._state(artifact_id) for artifact_id in (*batch, random)}

    def _state(self, artifact_id: str) -> str | None:
        try:
            return get_artifact(self.session, artifact_id).state
        except NotFound:
            return None

    def _list(self, project: ProjectPath, run_ids: Sequence[str], control: Control) -> tuple[set[str], bool]:
        """The ids that a list shows, and whether every answer showed the control and not the random id."""
        shown: set[str] = set()
        holds = control.holds
        for batch in batches(run_ids, _IDS_PER_LIST):
            extra = [control.random] if control.run is None else [control.random, control.run]
            # A redirect is noticed by the look-up, which makes the answers unsettled.
            filters = {"name": {"$in": [*batch, *extra]}}
            names = set(list_run_ids(self.session, project, filters, names="own"))
            shown |= names
            holds = holds and control.random not in names and (control.empty or control.run in names)
        return shown, holds

    def _look_up(self, project: ProjectPath, run_ids: Sequence[str], control: Control) -> dict[str, Answer]:
        answers: dict[str, Answer] = {}
        for batch in batches(run_ids, BATCH):
            seen = self.session.execute(
                LOOK_UP_RUNS,
                **_names(project),
                control=control.run or control.random,
                random=control.random,
                **_places("r", batch, control.random),
            ).project
            if not _is(seen, project):
                answers |= dict.fromkeys(batch, "unknown")
                continue
            holds = seen.random is None and (control.empty or seen.control is not None)
            null: Answer = "absent" if control.holds and holds else "unknown"
            for place, run_id in enumerate(batch):
                answers[run_id] = null if getattr(seen, f"r{place}") is None else "present"
        return answers

    def _is_marked_deleted(self, project: ProjectPath, run_id: str) -> bool:
        """Whether a run that no list shows is shown by itself because this key may see deleted runs."""
        mark = self.deleted_mark(RunPath(project.entity, project.project, run_id))
        self.shows_deleted = self.shows_deleted or mark is not None
        return mark is not None

    @property
    def knows_deleted(self) -> bool:
        """False once the server was found to lack `Run.deletedAt`."""
        return self._knows_deleted and "Run.deletedAt" not in self.session.missing

    def deleted_mark(self, path: RunPath) -> str | None:
        """When a run was deleted; None if the server does not show it, or has no such field. One request."""
        if not self.knows_deleted:
            return None
        try:
            seen = self.session.execute(GET_DELETED_MARK, **_names(path.project_path), run=path.run_id)
        except ResponseError:
            self._knows_deleted = False
            return None
        mark = seen.project.run.deleted_at if seen.project and seen.project.run else None
        return None if mark is NOT_FETCHED else mark


def make_artifact_id(text: str) -> str:
    """An artifact id of the usual form that nobody has: a server may refuse what has no number in it.

    Source: ids are base64 of `Artifact:<number>` (wandb SDK 0.31.0 `sdk/artifacts`, 2026-11).
    """
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") + _BEYOND_ALL_IDS
    return base64.b64encode(f"Artifact:{number}".encode()).decode()


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut into lists of up to `size`."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch


def _places(letter: str, values: Sequence[str], filler: str) -> dict[str, str]:
    """Variables for every place of a document; `filler` stands in the unused ones."""
    filled = [*values, *[filler] * (BATCH - len(values))]
    return {f"{letter}{place}": value for place, value in enumerate(filled)}


def _names(path: ProjectPath) -> dict[str, str]:
    return {"entity": path.entity, "project": path.project}


def _is(seen: Any, path: ProjectPath) -> bool:
    """Whether an answer is about the project that was asked for, not about one it redirects to."""
    return seen is not None and (seen.entity_name, seen.name) == (path.entity, path.project)
