"""Reads what is missing to decide over each version that planned runs logged, and decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wbgql.erasure.planning.decisions import Circumstances, Policy, Verdict, decide, may_go
from wbgql.erasure.planning.details import OutputFacts, RunDetails, count_references, read_users
from wbgql.erasure.planning.surroundings import Surroundings, read_protected_aliases
from wbgql.paths import ProjectPath
from wbgql.wire.session import Session


@dataclass(frozen=True, slots=True)
class Judged:
    """One version with what was decided. `loggers` and `users` are storage ids of planned runs."""

    output: OutputFacts
    verdict: Verdict
    loggers: list[str]
    users: list[str]
    references: int | None = 0


@dataclass
class Judge:
    """Decides over versions; asks for what it needs and has not yet. `planned`: ids of the runs that go."""

    session: Session
    planned: frozenset[str]
    policy: Policy
    has_holds: bool
    surroundings: Mapping[ProjectPath, Surroundings]
    _protected: dict[str, frozenset[str] | None] = field(default_factory=dict)

    def judge(self, details: Sequence[RunDetails]) -> dict[str, Judged]:
        """Decide over every version, each once, in the order in which they come."""
        logged: dict[str, list[str]] = {}
        outputs: dict[str, tuple[OutputFacts, ProjectPath]] = {}
        for run in details:
            for output in run.outputs:
                logged.setdefault(output.id, []).append(run.facts.run.id)
                outputs.setdefault(output.id, (output, run.facts.path.project_path))
        return {
            version: self._judge(output, project, logged[version])
            for version, (output, project) in outputs.items()
        }

    def _judge(self, output: OutputFacts, project: ProjectPath, logged_by: list[str]) -> Judged:
        loggers = list(dict.fromkeys([*logged_by, *self._loggers(output, project)]))
        users = read_users(self.session, output, self.planned) if may_go(output, self.planned) else None
        known = Circumstances(
            planned=self.planned,
            loggers=loggers,
            used_beyond=users is None,
            protected={entity: self._protected_in(entity) for entity, _ in output.aliases_by_entity},
            has_holds=self.has_holds,
            loggers_known=project not in self.surroundings or self.surroundings[project].loggers_known,
        )
        verdict = decide(output, known, self.policy)
        references = count_references(self.session, output) if verdict.goes else 0
        mine = [run for run in loggers if run in self.planned]
        return Judged(output, verdict, mine, users or [], references)

    def _loggers(self, output: OutputFacts, project: ProjectPath) -> list[str]:
        around = self.surroundings.get(project)
        return around.loggers.get(output.id, []) if around else []

    def _protected_in(self, entity: str) -> frozenset[str] | None:
        if entity not in self._protected:
            self._protected[entity] = read_protected_aliases(self.session, entity)
        return self._protected[entity]
