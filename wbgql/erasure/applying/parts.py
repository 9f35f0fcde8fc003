"""Deletes what hung on a hidden run: artifact versions that were its alone, and files. By frozen ids only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wbgql.deletes import DELETE_ARTIFACT, DELETE_FILES, UNLINK_ARTIFACT, look_up
from wbgql.erasure.applying.identity import DELETED, LOGGED_ELSEWHERE, compare_version
from wbgql.erasure.applying.options import Ending
from wbgql.erasure.applying.sending import Found, destroy, look_patiently, refusal, send
from wbgql.erasure.applying.work import Work
from wbgql.erasure.reading.facts import ArtifactFacts, read_artifact_facts
from wbgql.erasure.reading.fingerprints import is_artifact_as_planned
from wbgql.erasure.records.actions import GONE, Action
from wbgql.erasure.records.plan import PlannedArtifact, PlannedRun
from wbgql.errors import NotVisible, ResultError
from wbgql.projects import get_project

_NOT_HIDDEN = Ending("skipped", "run_not_hidden")
NOT_DECIDABLE = Ending("kept", "not_decidable")


def delete_version(work: Work, action: Action, owner: str) -> Ending | None:
    """Delete one version and say what became of it; None while runs that it hangs on have no outcome.

    Three requests, one more for each link that goes with it, and now and then those of `Neighbours`.
    """
    planned = action.target
    assert isinstance(planned, PlannedArtifact)
    runs = work.runs([action.run_no, *planned.with_runs])
    if any(run.outcome is None for run in runs):
        return None
    if any(run.outcome not in GONE for run in runs):
        return _NOT_HIDDEN
    tags = [work.run_tags(run) for run in runs]
    facts = read_artifact_facts(work.session, planned.id)
    if facts is None or facts.version.state == DELETED:
        return _gone_already(work, action)
    if work.neighbours.loggers(action.path.project_path, planned.id):
        return LOGGED_ELSEWHERE
    refused = judge_version(planned, facts) or compare_version(planned, facts, [run.run for run in runs])
    if refused is not None:
        return refused
    known = [(run.run, of_run) for run, of_run in zip(runs, tags, strict=True) if of_run is not None]
    if len(known) < len(runs):
        # One was gone when this job looked: nobody can say what it carried, or whether it made the version.
        return NOT_DECIDABLE
    return _Version(work, action, owner, planned, known).delete(facts)


def judge_version(planned: PlannedArtifact, facts: ArtifactFacts) -> Ending | None:
    """What keeps a version from being deleted; None where it is what the plan saw."""
    if is_artifact_as_planned(planned, facts):
        return None
    if facts.version.digest == planned.digest and facts.version.state != DELETED:
        return Ending("kept", "not_exclusive")
    return Ending("changed", "fingerprint")


def delete_file(work: Work, action: Action, owner: str) -> Ending | None:
    """Delete one file of a hidden run; None while its run has no outcome.

    The run cannot be read any more, so that no look can show the file: the server's word (`success`) is all
    there is, and a request without an answer is not sent again.
    """
    if action.run_outcome is None:
        return None
    if action.run_outcome not in GONE:
        return _NOT_HIDDEN
    if action.attempts:
        return Ending("failed", "unanswered")
    tags = work.run_tags(action)
    if tags is None:
        # Its run was gone when this job looked: nothing says whose file this id is, or what may hold it.
        return NOT_DECIDABLE
    if work.is_held(action.run, tags):
        return Ending("held", "hold")
    project = get_project(work.session, action.path.project_path, exact=True).number
    work.intend(action, owner)
    lost = send(work, DELETE_FILES, {"files": [action.target.id], "projectId": project})
    if lost is None:
        return Ending("deleted", "acknowledged")
    if isinstance(lost, ResultError):
        return Ending("failed", "not_confirmed")
    return refusal(lost) or Ending("failed", "unanswered")


def _gone_already(work: Work, action: Action) -> Ending:
    if _look(work, action) is not Found.GONE:
        raise NotVisible(
            f"artifact of run no. {action.shown_no}: null, and its project cannot be seen: nothing can be "
            "said of it"
        )
    if not action.was_attempted:
        return Ending("gone_before")
    return Ending("gone_after_attempt", "found_on_resume" if action.attempts else "earlier_round")


@dataclass(frozen=True, slots=True)
class _Version:
    """One version that is to be deleted now. `runs`: all that it hangs on, with their tags."""

    work: Work
    action: Action
    owner: str
    planned: PlannedArtifact
    runs: Sequence[tuple[PlannedRun, Sequence[str]]]

    def delete(self, facts: ArtifactFacts) -> Ending:
        """Take it off what it is linked into, where the plan says so, and delete it."""
        return self._unlink(facts) or self._delete(facts)

    def _is_held(self) -> bool:
        """Whether a hold keeps any of the runs: what two runs logged is a part of both."""
        return any(self.work.is_held(run, tags) for run, tags in self.runs)

    def _unlink(self, facts: ArtifactFacts) -> Ending | None:
        planned = self.planned
        for portfolio in sorted(set(planned.links) & set(facts.version.links)):
            if self._is_held():
                return Ending("held", "hold")
            self.work.intend(self.action, self.owner)
            send(self.work, UNLINK_ARTIFACT, {"id": planned.id, "portfolio": portfolio})
        if not planned.links:
            return None
        now: ArtifactFacts | None = None

        def look() -> Found:
            nonlocal now
            now = read_artifact_facts(self.work.session, planned.id)
            return Found.THERE if now is None or set(planned.links) & set(now.version.links) else Found.GONE

        if look_patiently(self.work, look) is Found.THERE or now is None:
            return Ending("failed", "not_unlinked")
        return judge_version(planned, now)

    def _delete(self, facts: ArtifactFacts) -> Ending:
        # The fingerprint holds every alias that somebody gave it: what is there beside those moves by itself.
        variables = {"id": self.planned.id, "deleteAliases": bool(facts.version.alias_names)}
        return destroy(
            self.work,
            self.action,
            self.owner,
            (DELETE_ARTIFACT, variables),
            look=lambda: _look(self.work, self.action),
            is_held=self._is_held,
            gone="deleted",
        )


def _look(work: Work, action: Action) -> Found:
    facts = read_artifact_facts(work.session, action.target.id)
    if facts is not None:
        return Found.GONE if facts.version.state == DELETED else Found.THERE
    try:
        look_up(work.session, action.path)
    except NotVisible:
        return Found.UNKNOWN
    return Found.GONE
