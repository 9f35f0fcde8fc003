"""What evidence says in words: as much as was proved, and no more. No I/O.

Every sentence of a certificate or a report about what was done comes from here, so that one test can hold all
of them to their stage: nothing is called gone for good that could be brought back, or that nobody looked for.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from wbgql.erasure.plans import Clock, ClockName
from wbgql.erasure.stages import DECLARED_MARGIN, Stage
from wbgql.erasure.verifications import Controls
from wbgql.scalars import parse_datetime

TITLES: Mapping[Stage, str] = {
    "HIDDEN": "Runs hidden",
    "WINDOW_PASSED": "Runs hidden, undelete window passed",
    "STORAGE_VERIFIED": "Runs hidden, and absent from the store that was looked at",
    "PROVIDER_ATTESTED": "Runs hidden, removal attested by the provider",
}
STAGE_NAMES: Mapping[Stage, str] = {
    "HIDDEN": "hidden",
    "WINDOW_PASSED": "undelete window passed",
    "STORAGE_VERIFIED": "store looked at",
    "PROVIDER_ATTESTED": "provider attested",
}
CLOCK_NAMES: Mapping[ClockName, str] = {
    "undelete_window": "undelete window",
    "run_retention": "retention of runs",
    "artifact_collection": "collection of artifact files",
    "backups": "backups",
}
OUTCOMES: Mapping[str, str] = {
    "hidden": "hidden by this job",
    "erased_by_other": "gone before this job sent anything",
    "deleted": "deletion requested by this job, and absent since",
    "gone_before": "gone before this job sent anything",
    "kept": "kept",
    "held": "under a hold: untouched",
    "denied": "this key may not delete it: untouched",
    "changed": "not what was approved any more: untouched",
    "moved": "in another project now: untouched",
    "not_visible": "not visible: nothing can be said of it",
    "failed": "failed: still there, or unknown",
    "skipped": "left, because its run was not hidden",
    "open": "not done yet",
    "excluded": "matched the rule and was left out",
}
REASONS: Mapping[str, str] = {
    "used_elsewhere": "another run uses it",
    "logged_elsewhere": "another run logged the same version",
    "linked": "linked into a portfolio or a registry",
    "aliased": "somebody gave it an alias",
    "protected": "carries a protected alias",
    "system": "the server's own; nobody outside can remove it",
    "held": "under a hold",
    "already_deleted": "deleted before",
    "not_decidable": "the server does not say enough to decide",
    "exclusive": "no other run uses it",
    "denied": "this key may not delete it",
    "logging": "still being logged",
    "not_matching": "the server listed it, the rule does not match it",
    "read_only": "the project is read-only for this key",
}
RESIDUALS: Mapping[str, str] = {
    "system_artifact": "system artifacts that hold what the runs logged; only the provider can remove them",
    "fork": "forks that share history and files with a run",
    "late_object": "objects that came after their run was hidden",
    "shared_bytes": "contents that something else still uses",
}
PROOFS: Mapping[str, str] = {
    "not_claimed": "nothing is claimed of it",
    "not_verified": "no verification was made since",
    "absent": "read as absent",
    "absent_in_store": "read as absent, and not in the store",
    "visible": "the last verification could read it",
    "unsettled": "the last verification's answers contradicted each other",
    "unknown": "no control shows that its absence means anything",
    "missing": "it is missing, although it was to be kept",
    "stored": "still in the store",
    "not_looked_at": "the look at the store did not reach it",
}
VERDICTS: Mapping[str, str] = {
    "hidden": "everything claimed answered as absent, the controls held",
    "not_hidden": "something could be read that should not be",
    "cannot_verify": "nothing can be said: a control failed, or answers did not settle",
    "absent": "nothing of it in the store",
    "present": "something of it is in the store",
    "partial": "nothing found, but not everything could be looked at",
}


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers and times that the sentences are made of.

    `claimed` of `matched` runs; `by_others` of these were gone before.
    `controls`: those of the proof. `hidden_at`, `window_at`, `store_at`:
    when each stage was proved. `window`: the binding clock, `window_ends_at` when it ends.
    """

    matched: int
    claimed: int
    controls: Controls
    by_others: int
    projects: int
    hidden_at: str
    window: Clock
    window_ends_at: str | None
    window_at: str | None = None
    store_at: str | None = None
    stores: list[str] = []
    reference: str | None = None


def statement(stage: Stage, facts: Facts, *, is_test: bool) -> list[str]:
    """Say in whole sentences what is certified."""
    said = [_subject_of(facts), _hidden(facts)]
    if facts.by_others:
        said.append(
            f"{_were(facts.by_others)} gone before this job sent anything; they are not claimed as its work."
        )
    said.extend(_LATER[stage](facts))
    if is_test:
        said.insert(0, "TEST: this came from the local test server and says nothing about any other.")
    return said


def describe_clock(clock: Clock, ends: str | None) -> str:
    """Say how long a clock runs, who says so, and when it ends."""
    name = CLOCK_NAMES[clock.name]
    if clock.seconds is None:
        return f"{name}: unknown"
    length = describe_span(clock.seconds)
    if clock.source == "server":
        source = "as the server says"
    else:
        source = f"as declared by the {clock.declared_by or 'operator'}"
        source += f" on {clock.declared_at[:10]}" if clock.declared_at else ""
    return f"{name}: {length}, {source}" + (f"; ends {ends}" if ends else "")


def when(instant: str | None) -> str:
    """Write an instant for people: to the second, in UTC; a dash where there is none."""
    if instant is None:
        return "\N{EN DASH}"
    try:
        return f"{parse_datetime(instant):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return instant


def describe_span(seconds: int) -> str:
    """Write a length of time in its largest whole unit."""
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds and seconds % size == 0:
            return _count(seconds // size, unit)
    return _count(seconds, "second")


def _subject_of(facts: Facts) -> str:
    return (
        f"This certifies runs that matched one rule in {_count(facts.projects, 'project')}, as the plan "
        f"lists them: {facts.claimed} of the {_count(facts.matched, 'run')} that matched. It does not "
        "certify that these are all data about a person or a subject."
    )


def _hidden(facts: Facts) -> str:
    return (
        f"At {when(facts.hidden_at)} independent reads of the server's API answered "
        f"{_all_of(facts.claimed)} as absent, while the controls held: {_controls(facts.controls)}."
    )


def _controls(controls: Controls) -> str:
    said = []
    if controls.positive:
        said.append(f"in {_count(controls.positive, 'project')} another run was visible")
    if controls.empty:
        said.append(f"{_count(controls.empty, 'project')} without other runs could be read and counted none")
    said.append("an id that nobody has answered as absent")
    return ", ".join(said)


def _after_hidden(facts: Facts) -> list[str]:
    if facts.window_ends_at is None:
        until = "for how long is not known"
    else:
        until = f"until {when(facts.window_ends_at)} ({_source(facts.window)})"
    return [
        f"Whoever has the right can still bring them back, {until}.",
        "It must be assumed that the provider still stores what they held.",
    ]


def _after_window(facts: Facts) -> list[str]:
    return [
        f"They were absent again at {when(facts.window_at)}, when the undelete window had ended "
        f"({when(facts.window_ends_at)}, {_source(facts.window)}).",
        "Whether the provider has removed what they held was not observed.",
    ]


def _after_store(facts: Facts) -> list[str]:
    said = [
        *_after_window(facts)[:1],
        f"By {when(facts.store_at)} looks at the store ({', '.join(facts.stores)}) found nothing of them "
        "there.",
        "Backups, replicas and copies elsewhere were not looked at.",
    ]
    if "local" not in facts.stores:
        said.append("Objects were looked for, and not the rows of the server's database.")
    return said


def _after_attested(facts: Facts) -> list[str]:
    return [
        *_after_window(facts)[:1],
        "The operator recorded that the provider attests the removal, under the reference "
        f"{facts.reference or '-'!r}. Nobody here saw it.",
    ]


_LATER = {
    "HIDDEN": _after_hidden,
    "WINDOW_PASSED": _after_window,
    "STORAGE_VERIFIED": _after_store,
    "PROVIDER_ATTESTED": _after_attested,
}


def _source(clock: Clock) -> str:
    if clock.source == "server":
        return "the server's own figure"
    day = f"{DECLARED_MARGIN.days} day of margin"
    return f"declared by the {clock.declared_by or 'operator'}, with {day}"


def _all_of(count: int) -> str:
    return "it" if count == 1 else f"all {count} of them"


def _were(count: int) -> str:
    return "1 of them was" if count == 1 else f"{count} of them were"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
