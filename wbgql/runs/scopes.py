"""Which projects a selection is over: one, several, or all of an entity that this key can see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from wbgql.errors import NotFound, PermissionDenied, UsageError
from wbgql.paths import ProjectPath
from wbgql.projects import iter_projects
from wbgql.runs.coverage import Tally
from wbgql.wire.session import Session


@dataclass(frozen=True, slots=True)
class ProjectPattern:
    """The projects of an entity whose names match `pattern`, in which `*` stands for any text."""

    entity: str
    pattern: str = "*"

    def __str__(self) -> str:
        return f"{self.entity}/{self.pattern}"


ProjectScope = ProjectPath | ProjectPattern


@dataclass(frozen=True, slots=True)
class Scope:
    """What was named, in the order given."""

    parts: tuple[ProjectScope, ...]

    @classmethod
    def of(cls, given: ProjectScope | Iterable[ProjectScope]) -> Scope:
        """Make a scope of one part or several.

        Raises:
            UsageError: none at all.
        """
        parts = (given,) if isinstance(given, (ProjectPath, ProjectPattern)) else tuple(given)
        if not parts:
            raise UsageError("name a project: an empty list of paths selects nothing")
        return cls(tuple(dict.fromkeys(parts)))

    @property
    def single(self) -> ProjectPath | None:
        """The project, where one alone is named in full."""
        return self.parts[0] if len(self.parts) == 1 and isinstance(self.parts[0], ProjectPath) else None

    def projects(self, session: Session, tally: Tally) -> Iterator[ProjectPath]:
        """Yield each project once; a pattern costs one request for 200 projects of its entity.

        Raises:
            NotFound: a pattern, and nothing else, names an entity that is not visible.
        """
        seen: set[ProjectPath] = set()
        for part in self.parts:
            for project in self._resolve(part, session, tally):
                if project not in seen:
                    seen.add(project)
                    yield project

    def _resolve(self, part: ProjectScope, session: Session, tally: Tally) -> Iterator[ProjectPath]:
        if isinstance(part, ProjectPath):
            yield part
            return
        found = False
        try:
            for project in iter_projects(session, part.entity):
                if fnmatchcase(project.name, part.pattern.replace("[", "[[]").replace("?", "[?]")):
                    found = True
                    yield ProjectPath(project.entity_name, project.name)
        except (NotFound, PermissionDenied) as error:
            if len(self.parts) == 1:
                raise
            tally.miss(part, str(error))
            return
        if not found:
            tally.miss(part, "no project that this key can see matches")

    def __str__(self) -> str:
        return ", ".join(map(str, self.parts))
