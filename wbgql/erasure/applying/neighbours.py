"""Runs that are still there and logged a version that is to go.

A server gives the second run that logs the same content the version of the first. Neither the version nor its
fingerprint says so: all runs of its project are looked at, and again after a while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from wbgql.erasure.planning.surroundings import read_surroundings
from wbgql.erasure.records.plan import Plan
from wbgql.errors import NotFound, NotVisible, Paused, UnstablePopulation
from wbgql.paths import ProjectPath
from wbgql.progress import NoProgress
from wbgql.wire.session import Session

_GOOD_FOR_S = 60.0


@dataclass(frozen=True, slots=True)
class _Reading:
    loggers: Mapping[str, Sequence[str]]
    read_at: float


class Neighbours:
    """Who logged the versions of a plan, as of a minute ago at most. One request for 500 runs of a project.

    `clock` is monotonic, in seconds. Threads that ask at once wait for one reading.
    """

    def __init__(self, session: Session, plan: Plan, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._clock = clock
        self._lock = threading.Lock()
        self._readings: dict[ProjectPath, _Reading] = {}
        self._versions = frozenset(
            artifact.id for run in plan.runs for artifact in run.artifacts if artifact.goes
        )

    def loggers(self, project: ProjectPath, version: str) -> Sequence[str]:
        """Storage ids of the runs of a project that can be seen and logged a version.

        Raises:
            NotVisible: the project cannot be seen, so that nobody can say.
            Paused: runs come and go, so that some may have been missed.
        """
        with self._lock:
            reading = self._readings.get(project)
            if reading is None or self._clock() - reading.read_at > _GOOD_FOR_S:
                reading = self._readings[project] = self._read(project)
        return reading.loggers.get(version, ())

    def _read(self, project: ProjectPath) -> _Reading:
        try:
            found = read_surroundings(self._session, project, (), self._versions, NoProgress())
        except NotFound as error:
            raise NotVisible(
                "a project cannot be seen: nobody can say who else logged its versions, so none was deleted; "
                "the same command looks again"
            ) from error
        except UnstablePopulation as error:
            raise Paused(
                "runs come and go while it is read who else logged the versions; go on with the same command "
                "at a quiet time"
            ) from error
        return _Reading(found.loggers, self._clock())
