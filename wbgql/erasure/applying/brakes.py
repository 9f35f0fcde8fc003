"""Stops a job that does harm: too much fails, too much vanishes, or something vanishes that must stay."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence

from wbgql.deletes import look_up
from wbgql.erasure.records.actions import Outcome
from wbgql.errors import NotVisible, PartialError
from wbgql.paths import ProjectPath, RunPath
from wbgql.wire.session import Session

_BAD: frozenset[Outcome] = frozenset({"failed", "not_visible", "moved"})
_FREE = 10
_MARGIN_RUNS = 3
_MARGIN_SHARE = 0.02
_CANARIES_EVERY = 25


class Brakes:
    """Counts what this process does, and compares it with what the server shows.

    `touched()` is how many runs the whole job, other workers too, has sent a deletion for: asked only where
    this process's own count does not explain what is missing. `name(project)` is what messages call it.
    """

    def __init__(
        self,
        session: Session,
        *,
        max_failed_percent: int,
        canaries: Sequence[RunPath],
        touched: Callable[[], int],
        name: Callable[[ProjectPath], str],
    ) -> None:
        self._session = session
        self._max_failed_percent = max_failed_percent
        self._canaries = canaries
        self._touched = touched
        self._name = name
        self._touched_before = touched()
        self._lock = threading.Lock()
        self._outcomes: Counter[Outcome] = Counter()
        self._first: dict[ProjectPath, int] = {}
        self._sent: Counter[ProjectPath] = Counter()
        self._since_canaries = 0

    def sent(self, project: ProjectPath) -> None:
        """Note that a deletion of a run is about to leave."""
        with self._lock:
            self._sent[project] += 1

    def count(self, outcome: Outcome) -> None:
        """Note an outcome.

        Raises:
            PartialError: too many failed.
        """
        with self._lock:
            self._outcomes[outcome] += 1
            done = self._outcomes.total()
            bad = sum(self._outcomes[word] for word in _BAD)
        if done >= _FREE and bad * 100 > self._max_failed_percent * done:
            raise PartialError(
                f"{bad} of the last {done} actions failed, more than {self._max_failed_percent} %: stopped; "
                "look at `wbgql erase status`, then go on with the same command"
            )

    def saw(self, project: ProjectPath, run_count: int) -> None:
        """Compare how many runs a project has now with what it had, less what this job hid.

        Raises:
            PartialError: more are gone.
        """
        with self._lock:
            first = self._first.setdefault(project, run_count + self._sent[project])
            missing = first - run_count - self._sent[project]
        margin = max(_MARGIN_RUNS, int(first * _MARGIN_SHARE))
        if missing <= margin:
            return
        if first - run_count - (self._touched() - self._touched_before) <= margin:
            return
        raise PartialError(
            f"project {self._name(project)} lost {missing} runs more than this job hid: somebody else "
            "deletes there, or rights were lost; stopped. Look at it, then go on with the same command"
        )

    def check_canaries(self) -> None:
        """Look at each 25th call whether what must stay is still there.

        Raises:
            PartialError: it is not.
        """
        with self._lock:
            self._since_canaries += 1
            if self._since_canaries < _CANARIES_EVERY:
                return
            self._since_canaries = 0
        missing = self.missing_canary()
        if missing is not None:
            raise PartialError(
                f"canary {missing} of {len(self._canaries)}, a run that must never go, is not there any "
                "more, or not visible: stopped at once; find out why before going on"
            )

    def missing_canary(self) -> int | None:
        """The number, from 1, of a canary that cannot be seen; None where all are there. A request each."""
        numbered = enumerate(self._canaries, 1)
        return next((number for number, path in numbered if not self._is_there(path)), None)

    def _is_there(self, path: RunPath) -> bool:
        try:
            return look_up(self._session, path).run is not None
        except NotVisible:
            return False
