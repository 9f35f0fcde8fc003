"""What becomes of one artifact version, and why. No I/O.

The first reason that holds decides; whatever cannot be decided stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from wbgql.erasure.planning.details import OutputFacts
from wbgql.erasure.planning.population import Found, Population
from wbgql.erasure.records.plan import Decision, ExcludedRun, Exclusion, Reason
from wbgql.errors import Held, PermissionDenied
from wbgql.safety.holds import Hold, why_held
from wbgql.viewer import Rights

# Which of the runs that matched must stay: those nobody here may delete, and those under a hold.

_NAMED_AT_MOST = 5


@dataclass(frozen=True, slots=True)
class Sifted:
    """The runs that may go, and those that stay with the reason. Both in the order in which they came."""

    runs: list[Found]
    excluded: list[ExcludedRun]


def sift(population: Population, rights: Mapping[str, Rights], holds: Sequence[Hold]) -> Sifted:
    """Part the runs that may go from those that stay. Rights come before holds."""
    runs: list[Found] = []
    excluded = [
        ExcludedRun(path=str(path), reason="not_matching", detail="the server gave it, but it does not match")
        for path in population.others
    ]
    for run in population.runs:
        why = _why_excluded(run, population, rights[run.path.entity], holds)
        if why is None:
            runs.append(run)
        else:
            excluded.append(ExcludedRun(path=str(run.path), reason=why[0], detail=why[1]))
    return Sifted(runs, excluded)


def check_permitted(sifted: Sifted, rights: Iterable[Rights], *, only_permitted: bool) -> None:
    """Raise `PermissionDenied` if a run that matched may not be deleted, unless others may stay.

    Raises:
        PermissionDenied: some may not be deleted.
    """
    denied = [run.path for run in sifted.excluded if run.reason == "denied"]
    if not denied or only_permitted:
        return
    roles = ", ".join(f"{one.username!r} is {one.role or 'unknown'} in {one.entity!r}" for one in rights)
    more = f" and {len(denied) - _NAMED_AT_MOST} more" if len(denied) > _NAMED_AT_MOST else ""
    total = len(sifted.runs) + sum(run.reason != "not_matching" for run in sifted.excluded)
    raise PermissionDenied(
        f"{len(denied)} of {total} runs that match may not be deleted with this key ({roles}): "
        f"{', '.join(denied[:_NAMED_AT_MOST])}{more}; plan with the key of an admin, or --only-permitted to "
        "leave them out; no plan was made"
    )


def check_something_left(sifted: Sifted) -> None:
    """Raise if runs matched and none of them may go.

    Raises:
        Held: all that matched are held.
        PermissionDenied: all that matched must stay, some for want of rights.
    """
    stay = [run for run in sifted.excluded if run.reason != "not_matching"]
    if sifted.runs or not stay:
        return
    reasons = {run.reason for run in stay}
    details = "; ".join(dict.fromkeys(run.detail for run in stay))
    message = f"all {len(stay)} runs that match stay: {details}; no plan was made"
    raise Held(message) if reasons == {"held"} else PermissionDenied(message)


def _why_excluded(
    run: Found, population: Population, rights: Rights, holds: Sequence[Hold]
) -> tuple[Exclusion, str] | None:
    project = population.projects.get(run.path.project_path)
    if project is not None and project.read_only:
        return "read_only", "its project is read-only for this key"
    if rights.may_delete(run.owner) is False:
        return "denied", f"{rights.role or 'role unknown'}: only who created it, or an admin, may delete it"
    held = why_held(holds, run.target, population.project_id)
    return None if held is None else ("held", held)


Aliased = Literal["erase", "keep"]


class Verdict(NamedTuple):
    """What is done with a version, and the reason."""

    decision: Decision
    reason: Reason

    @property
    def goes(self) -> bool:
        """Whether the version is deleted in the end."""
        return self.decision in ("erase", "unlink")


@dataclass(frozen=True, slots=True)
class Policy:
    """What the planner chose: whether links are taken off, and whether versions with aliases go."""

    unlink: bool = False
    aliased: Aliased = "keep"


class Circumstances(NamedTuple):
    """What is known beside the version itself.

    `planned`: storage ids of the runs that go. `loggers`: of the runs that logged it. `used_beyond`: a run
    that stays uses it. `protected`: protected aliases by entity, None if they are not known. `has_holds`: the
    register is not empty.
    `loggers_known`: every version that other runs of the project logged was visible.
    """

    planned: Collection[str]
    loggers: Collection[str]
    used_beyond: bool
    protected: Mapping[str, Collection[str] | None]
    has_holds: bool
    loggers_known: bool = True


def may_go(version: OutputFacts, planned: Collection[str]) -> bool:
    """Whether a version may go as far as its own page tells: worth looking further.

    A version whose first logger is gone may: others that logged it are found elsewhere.
    """
    by_planned = version.maker is None or version.maker in planned
    return version.state == "COMMITTED" and not version.is_system and by_planned


def decide(version: OutputFacts, known: Circumstances, policy: Policy) -> Verdict:
    """Decide over one version that a planned run logged."""
    kept = _kept_by_itself(version) or _kept_by_others(version, known)
    if kept is not None:
        return kept
    for entity, alias in version.aliases_by_entity:
        protected = known.protected.get(entity, ())
        if protected is None:
            return Verdict("keep", "not_decidable")
        if alias in protected:
            return Verdict("manual", "protected")
    return _by_names(version, policy)


def _kept_by_itself(version: OutputFacts) -> Verdict | None:
    if version.state == "DELETED":
        return Verdict("keep", "already_deleted")
    if version.is_system:
        return Verdict("keep", "system")
    if version.state != "COMMITTED":
        return Verdict("keep", "not_decidable")
    return None


def _kept_by_others(version: OutputFacts, known: Circumstances) -> Verdict | None:
    loggers = (run for run in (version.maker, *known.loggers) if run is not None)
    if not all(run in known.planned for run in loggers):
        return Verdict("keep", "logged_elsewhere")
    if not known.loggers_known:
        return Verdict("keep", "not_decidable")
    if version.maker is None and known.has_holds:
        # The run that made it is gone: whether it was held, or its owner is, nobody can say.
        return Verdict("keep", "not_decidable")
    if known.used_beyond:
        return Verdict("keep", "used_elsewhere")
    return None


def _by_names(version: OutputFacts, policy: Policy) -> Verdict:
    if version.links and not policy.unlink:
        return Verdict("keep", "linked")
    if version.own_aliases and policy.aliased == "keep":
        return Verdict("keep", "aliased")
    if "" in version.links:
        return Verdict("manual", "linked")
    if version.links:
        return Verdict("unlink", "linked")
    return Verdict("erase", "aliased" if version.own_aliases else "exclusive")
