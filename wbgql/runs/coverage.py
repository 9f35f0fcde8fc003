"""What a selection has read, and what it was asked for but could not see. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from wbgql.cautions import warn
from wbgql.errors import CoverageWarning
from wbgql.paths import ProjectPath


@dataclass(frozen=True, slots=True)
class ProjectCoverage:
    """One project that was read. `runs`: how many it gave; `complete`: it was read to its end."""

    project: ProjectPath
    runs: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that was not read, or not to its end, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the latest use of a selection read. `unread` is empty if nothing was missing."""

    projects: tuple[ProjectCoverage, ...] = ()
    unread: tuple[Unread, ...] = ()

    @property
    def runs(self) -> int:
        """How many runs were given."""
        return sum(project.runs for project in self.projects)

    @property
    def complete(self) -> bool:
        """Whether all that was asked for was seen, to the end."""
        return not self.unread and all(project.complete for project in self.projects)


class Tally:
    """Keeps the count while a selection is read."""

    def __init__(self) -> None:
        self._runs: dict[ProjectPath, int] = {}
        self._complete: set[ProjectPath] = set()
        self._unread: list[Unread] = []

    def begin(self, project: ProjectPath) -> None:
        """A project is visible and about to give runs."""
        self._runs.setdefault(project, 0)

    def add(self, project: ProjectPath, runs: int) -> None:
        """So many more runs of a project were given."""
        self._runs[project] = self._runs.get(project, 0) + runs

    def finish(self, project: ProjectPath) -> None:
        """A project was read to its end."""
        self._complete.add(project)

    def miss(self, path: object, reason: str) -> None:
        """Note what was not read, and warn of it."""
        self._unread.append(Unread(str(path), reason))
        warn(CoverageWarning(f"{str(path)!r} is missing here: {reason}"))

    def coverage(self) -> Coverage:
        """What was read so far."""
        read = [ProjectCoverage(path, runs, path in self._complete) for path, runs in self._runs.items()]
        return Coverage(tuple(read), tuple(self._unread))
