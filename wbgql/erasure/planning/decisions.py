"""What becomes of one artifact version, and why. No I/O.

The first reason that holds decides; whatever cannot be decided stays.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from wbgql.erasure.planning.details import OutputFacts
from wbgql.erasure.records.plan import Decision, Reason

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
