"""Which of the runs that matched must stay: those nobody here may delete, and those under a hold. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wbgql.erasure.planning.population import Found, Population
from wbgql.erasure.records.plan import ExcludedRun, Exclusion
from wbgql.errors import Held, PermissionDenied
from wbgql.safety.holds import Hold, why_held
from wbgql.viewer import Rights

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
    """Pass quietly where every run that matched may be deleted, or it was said that the others may stay.

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
    """Pass quietly where a run is left that may go, or none matched at all.

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
