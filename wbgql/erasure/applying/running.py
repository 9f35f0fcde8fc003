"""Runs a job's batches: what one thread does with one range, and when all of them have to end."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable

from wbgql.erasure.applying.hiding import UNCONFIRMED, hide, unless_moved
from wbgql.erasure.applying.options import Ending
from wbgql.erasure.applying.parts import delete_file, delete_version
from wbgql.erasure.applying.work import Work
from wbgql.erasure.records.actions import Action
from wbgql.errors import Paused
from wbgql.jobs.ranges import Batch

_MAX_STARTS = 4
_ASK_AGAIN_S = 1.0

_HANDLERS: dict[str, Callable[[Work, Action, str], Ending | None]] = {
    "run": hide,
    "artifact": delete_version,
    "file": delete_file,
}


class Runner:
    """Works on batches in the engine's threads. The first error ends all, after their present items.

    `check` is called before each batch and each action: what it raises is such an error.
    """

    def __init__(self, work: Work, *, deadline: float | None, check: Callable[[], object]) -> None:
        self._work = work
        self._deadline = deadline
        self._check = check
        self._lock = threading.Lock()
        self.failure: BaseException | None = None
        self.quarantined = 0

    def process(self, batch: Batch) -> str:
        """Work on one batch; the word says how it ended. What goes wrong is kept in `failure`."""
        try:
            return self._process(batch)
        except BaseException as error:  # noqa: BLE001  # the engine would store it: it may hold run ids
            self.fail(error)
            return "failed"

    def fail(self, error: BaseException) -> None:
        """Keep the first error and tell everybody to end."""
        with self._lock:
            if self.failure is None:
                self.failure = error
        self._work.stopping.set()

    def _process(self, batch: Batch) -> str:
        work, owner = self._work, secrets.token_hex(8)
        if work.stopping.is_set():
            return "stopped"
        self._check()
        starts = work.ledger.claim(work.job, batch.generation, batch.lo, batch.hi, owner)
        if starts > _MAX_STARTS:
            # It ended its worker each time. Whoever gives the command anew gives it another chance.
            work.ledger.note(work.job, "quarantined", {"lo": batch.lo, "hi": batch.hi, "starts": starts - 1})
            self.quarantined += 1
            return "quarantined"
        waiting: list[Action] = []
        absent: list[tuple[Action, Ending]] = []
        for action in work.actions(batch.lo, batch.hi):
            if self._should_stop():
                break
            if not self._do(action, owner, absent):
                waiting.append(action)
        self._search(absent, owner)
        self._wait_for(waiting, owner)
        return "stopped" if work.stopping.is_set() else "done"

    def _do(self, action: Action, owner: str, absent: list[tuple[Action, Ending]]) -> bool:
        """Do one action; False where it has to wait. A run that may have been moved goes to `absent`."""
        work = self._work
        self._check()
        ending = _HANDLERS[action.kind](work, action, owner)
        if ending is None:
            return False
        if action.kind == "run" and ending.outcome in UNCONFIRMED:
            absent.append((action, ending))
            return True
        work.finish(action, owner, ending)
        if action.kind == "run":
            work.brakes.check_canaries()
        return True

    def _search(self, absent: list[tuple[Action, Ending]], owner: str) -> None:
        """Say what became of absent runs, after one search for all of them."""
        if absent:
            for action, ending in unless_moved(self._work, absent):
                self._work.finish(action, owner, ending)
                self._work.brakes.check_canaries()

    def _wait_for(self, waiting: list[Action], owner: str) -> None:
        """Ask again for runs that are being logged until their time is used up. What is left stays open."""
        waiting = [action for action in waiting if action.kind == "run"]
        until = time.monotonic() + self._work.options.quiet_budget_s
        while waiting and time.monotonic() < until and not self._should_stop():
            if self._work.wait(_ASK_AGAIN_S):
                return
            absent: list[tuple[Action, Ending]] = []
            waiting = [action for action in waiting if not self._do(action, owner, absent)]
            self._search(absent, owner)

    def _should_stop(self) -> bool:
        if self._work.stopping.is_set():
            return True
        if self._deadline is not None and time.monotonic() > self._deadline:
            self.fail(Paused("the job's time is used up; go on with the same command"))
            return True
        return False
