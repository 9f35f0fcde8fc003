"""What evidence says in words: as much as was proved, and no more. No I/O.

Every sentence of a certificate or a report about what was done comes from here, so that one test can check
all of them against their stage: nothing is called gone for good that could be restored, or that nobody looked
for.

A certificate is checked with the words of its own version, which its schema names. Versions 1 and 2 never
change. To change or add words:

1. Put the new text into the section of `_CHANGED[3]` (`sentences`, `outcomes`, ...) under its name. It
   replaces the text of versions 1 and 2. A new name exists from version 3 on; "" takes a sentence away.
2. Let the code that composes (below, or in `limitations`) ask for `words.sentence(name, ...)`. In a version
   that does not know the name the answer is "", and the sentence is left out.
3. Make a sentence from what the certificate lists, because `wbgql erase check` says it again from there. A
   fact that the certificate lacks is a new field of one of its parts, `UNSET` in version 1.
4. List each changed sentence in CHANGELOG.md. Once a release has given out certificates of a version, that
   version never changes again: the next change makes a new version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from wbgql.erasure.evidence.certificate import Certificate
from wbgql.erasure.evidence.stages import DECLARED_MARGIN, Missing, Stage
from wbgql.erasure.records.plan import Clock
from wbgql.erasure.records.verification import Controls
from wbgql.errors import NotVerified
from wbgql.scalars import parse_datetime

_Table = Mapping[str, str]

_FIRST: Mapping[str, _Table] = {
    "titles": {
        "HIDDEN": "Runs hidden",
        "WINDOW_PASSED": "Runs hidden, undelete window passed",
        "STORAGE_VERIFIED": "Runs hidden, and absent from the store that was looked at",
        "PROVIDER_ATTESTED": "Runs hidden, removal attested by the provider",
    },
    "stage_names": {
        "HIDDEN": "hidden",
        "WINDOW_PASSED": "undelete window passed",
        "STORAGE_VERIFIED": "store looked at",
        "PROVIDER_ATTESTED": "provider attested",
    },
    "clock_names": {
        "undelete_window": "undelete window",
        "run_retention": "retention of runs",
        "artifact_collection": "collection of artifact files",
        "backups": "backups",
    },
    "outcomes": {
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
    },
    "reasons": {
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
    },
    "residuals": {
        "system_artifact": "system artifacts that hold what the runs logged; only the provider can remove "
        "them",
        "fork": "forks that share history and files with a run",
        "late_object": "objects that came after their run was hidden",
        "shared_bytes": "contents that something else still uses",
    },
    "proofs": {
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
    },
    "verdicts": {
        "hidden": "everything claimed answered as absent, the controls held",
        "not_hidden": "something could be read that should not be",
        "cannot_verify": "nothing can be said: a control failed, or answers did not settle",
        "absent": "nothing of it in the store",
        "present": "something of it is in the store",
        "partial": "nothing found, but not everything could be looked at",
    },
    "missing": {
        "nothing_gone": "no run of the plan is said to be gone",
        "not_hidden": "the last verification could read runs that were hidden",
        "cannot_verify": "the last verification could not verify: a control failed, or answers did not "
        "settle",
        "no_verification": "no verification was made since the last change: `wbgql erase verify` makes one",
        "window_unknown": "how long the server lets hidden runs be brought back is not known",
        "window_open": "no verification was made since the undelete window ended, or ends, at {at}",
        "no_look": "nobody looked at the stored bytes, and the provider attested nothing",
        "bad_look": "the last look at the store found something, or could not look everywhere",
        "left": "{count} things are left that only the provider can remove",
    },
    "sentences": {
        "test": "TEST: this came from the local test server and says nothing about any other.",
        "subject": "This certifies runs that matched one rule in {projects}, as the plan lists them: "
        "{claimed} of the {matched} that matched. It does not certify that these are all data about a "
        "person or a subject.",
        "hidden": "At {at} independent reads of the server's API answered {all} as absent, while the "
        "controls held: {controls}.",
        "control_run": "in {projects} another run was visible",
        "control_empty": "{projects} without other runs could be read and counted none",
        "control_id": "an id that nobody has answered as absent",
        "by_others": "{were} gone before this job sent anything; they are not claimed as its work.",
        "restorable": "Whoever has the right can still bring them back, {until}.",
        "until_unknown": "for how long is not known",
        "until": "until {at} ({source})",
        "assume_stored": "It must be assumed that the provider still stores what they held.",
        "window": "They were absent again at {at}, when the undelete window had ended ({ended}, {source}).",
        "not_observed": "Whether the provider has removed what they held was not observed.",
        "store": "By {at} looks at the store ({stores}) found nothing of them there.",
        "copies": "Backups, replicas and copies elsewhere were not looked at.",
        "objects_only": "Objects were looked for, and not the rows of the server's database.",
        "attested": "The operator recorded that the provider attests the removal, under the reference "
        "{reference!r}. Nobody here saw it.",
        "from_server": "the server's own figure",
        "from_operator": "declared by the {by}, with {margin} of margin",
    },
    "limitations": {
        "test": "It came from a local test server: nothing here is about W&B's own.",
        "not_read": "{count} of what was named could not be read: nothing is said of it, and nothing in it "
        "was touched.",
        "key": "The runs were looked for at {at} with a key that acted as {roles}. Projects and runs that "
        "this key cannot see look like ones that do not exist; they are not covered.",
        "later_runs": "Runs that came after the plan are not covered, whatever the rule says of them.",
        "open": "{count} things of the plan are not done yet.",
        "excluded": "{count} runs matched the rule and were left out; the counts say why.",
        "no_look": "Nobody looked at the stored bytes: all proofs are answers of the server's API.",
        "no_profile": "What this server does on deletion was not tried out beforehand with wbgql erase "
        "probe.",
        "one_key": "The verifying reads used the job's key, in sessions of their own, and no second "
        "credential.",
        "no_approval": "The plan asked for no approval by key: whoever ran the job confirmed it.",
        "approval": "An approval shows that a key signed, not who held it; two keys may lie in one hand.",
        "clocks": "Times are those of the machine that ran the job; the order of things is the journal's.",
        "holds": "Holds stand in a register of this tool: W&B's own pages and SDK know nothing of it.",
        "hashes": "Keyed hashes name nobody without the case key, which is kept apart until the case is "
        "closed.",
    },
    "stays": {
        "found": "{what} ({count})",
        "kept": "artifact versions kept, {reason} ({count})",
        "forks": "forks of these runs, which share history and files with their source ({count})",
        "references": "what references to storage outside point to ({count})",
        "later_artifacts": "system artifacts (wandb-history, wandb-events) that the server makes later by "
        "itself",
        "pages": "reports, workspaces and comments that name or show the runs",
        "backups": "backups and replicas, until they run out",
        "copies": "exports, downloads, caches and wandb/ folders on other machines; messages already sent",
        "audit": "the provider's audit log, which names who did what in which project",
    },
}
_CHANGED: Mapping[int, Mapping[str, _Table]] = {
    2: {
        "stays": {
            "references_unknown": "what references to storage outside point to, if the versions hold any: "
            "the server did not say"
        },
        "outcomes": {
            "deleted": "deletion requested by this job",
            "gone_after_attempt": "absent; this job may have sent the deletion",
        },
        "proofs": {"not_looked_at": "nobody looked whether it is gone"},
        "missing": {
            "left": "the last reads and looks found {things} left: system artifacts, forks, late objects or "
            "shared contents",
            "clock_unknown": "the server did not say its time when the runs were read after the undelete "
            "window, so nobody can say that the window had ended",
        },
        "sentences": {
            "subject_ids": "This certifies runs that were named by their ids, in {projects}, as the plan "
            "lists them: {claimed} of the {matched} that were found. It does not certify that these are all "
            "data about a person or a subject.",
            "hidden": "At {at} the server's API answered {all} as absent, to reads in a session of their own "
            "{reader}, while the controls held: {controls}.",
            "perhaps_ours": "{were} absent after this job may have sent the deletion; who deleted them is "
            "not known.",
            "reader_job": "with the job's key",
            "reader_second": "with a second key",
            "restorable_until": "Whoever had the right could bring them back, {until}, and no verification "
            "since then proves that nobody did.",
            "still_stored": "At {at} a look at the store ({store}) found something of them there.",
            "window": "They were absent again at {at}, after the {kind} undelete window, which ended at "
            "{ended} ({source}). Whether the server restores runs after it was not tried.",
        },
        "limitations": {
            "open": "{things} of the plan {are} not done yet.",
            "excluded": "{runs} matched the rule and {were} left out; the counts say why.",
            "files": "Nobody could look whether {files} {are} gone: the server said that it deleted {them}, "
            "and a file of a hidden run cannot be listed.",
            "moved": "Runs that may have been moved were searched for in {projects} of their entities; "
            "{unread} could not be searched. Other entities were not searched: a run that was moved to one "
            "looks like one that is gone.",
            "moved_not_searched": "Other projects were not searched: a run that was moved to one looks like "
            "one that is gone.",
            "no_clock": "The server did not say its time when the runs were last read: the machine's clock "
            "was not compared with it.",
        },
    },
    # Source: helm chart wandb/helm-charts (ClickHouse run store), docs of Weave, docs pull request 2257 (the
    # archived original of a rewound run), 2024 to 2026.
    3: {
        "stays": {
            "backups": "backups and replicas, until they run out; rows that a server's store (ClickHouse) "
            "drops only later",
            "originals": "archived originals of rewound runs, which the server keeps as runs of their own",
            "traces": "Weave traces and calls that name the runs, which are stored apart from them",
        },
    },
}


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """The words of one version, by code or by name."""

    titles: _Table
    stage_names: _Table
    clock_names: _Table
    outcomes: _Table
    reasons: _Table
    residuals: _Table
    proofs: _Table
    verdicts: _Table
    missing: _Table
    sentences: _Table
    limitations: _Table
    stays: _Table

    def sentence(self, name: str, **values: Any) -> str:
        """Write one sentence of the statement; "" where this version has none of that name."""
        return self.sentences.get(name, "").format(**values)

    def limitation(self, name: str, **values: Any) -> str:
        """Write one limitation; "" where this version has none of that name."""
        return self.limitations.get(name, "").format(**values)

    def stay(self, name: str, **values: Any) -> str:
        """Write what stays; "" where this version has nothing of that name."""
        return self.stays.get(name, "").format(**values)

    def lacking(self, missing: Missing | None) -> str | None:
        """Say what the next stage needs."""
        if missing is None:
            return None
        things = count_of(missing.count or 0, "thing")
        return self.missing[missing.code].format(at=missing.at, count=missing.count, things=things)


def _make_words() -> Mapping[int, Words]:
    tables = {name: dict(table) for name, table in _FIRST.items()}
    made = {1: Words(**{name: dict(table) for name, table in tables.items()})}
    for version, changed in sorted(_CHANGED.items()):
        for name, table in changed.items():
            tables[name] |= table
        made[version] = Words(**{name: dict(table) for name, table in tables.items()})
    return MappingProxyType(made)


WORDS = _make_words()
"""The words by version."""

NEWEST = WORDS[max(WORDS)]
"""The words of new certificates, and of everything that is of no certificate."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers and times that the statement is made of.

    `claimed` of `matched` runs, which a rule found or, `by_ids`, somebody named; `by_others` of these were
    gone before, `perhaps_ours` after a request that may have done it. `reader`: whose key the proof was read
    with.
    `controls`: those of the proof. `hidden_at`, `window_at`, `store_at`:
    when each stage was proved. `window`: the binding clock, `window_ends_at` when it ends; `has_ended`:
    it did before this was said. `still_stored`: when and where the last look of a probe found something.
    """

    matched: int
    claimed: int
    by_ids: bool = False
    controls: Controls
    reader: Literal["job", "second"] = "job"
    by_others: int
    perhaps_ours: int = 0
    projects: int
    hidden_at: str
    window: Clock
    window_ends_at: str | None
    has_ended: bool = False
    still_stored: list[tuple[str, str]] = []
    window_at: str | None = None
    store_at: str | None = None
    stores: list[str] = []
    reference: str | None = None


def facts_of(certificate: Certificate) -> Facts:
    """Take what the statement is made of from a certificate.

    Raises:
        NotVerified: the certificate contradicts itself: its first step is missing, or what it rests on.
    """
    steps = {step.stage: step for step in certificate.steps}
    looks = {look.no: look for look in certificate.verifications}
    window = next((timed for timed in certificate.clocks if timed.clock.name == "undelete_window"), None)
    hidden = steps.get("HIDDEN")
    proof = None if hidden is None or hidden.by is None else looks.get(hidden.by)
    if hidden is None or proof is None:
        raise NotVerified("the certificate lacks its first step, or the verification that it rests on")
    at = {stage: step.at for stage, step in steps.items()}
    ends = None if window is None else window.ends_at
    return Facts(
        matched=certificate.population.matched,
        claimed=certificate.population.claimed,
        by_ids=certificate.scope.ids is not None,
        controls=proof.controls,
        reader=proof.reader,
        by_others=certificate.population.runs.get("erased_by_other", 0),
        perhaps_ours=certificate.population.runs.get("gone_after_attempt", 0),
        projects=len(certificate.scope.projects),
        hidden_at=hidden.at,
        window=Clock(name="undelete_window", seconds=None, source="unknown")
        if window is None
        else window.clock,
        window_ends_at=ends,
        has_ended=ends is not None and parse_datetime(ends) <= parse_datetime(certificate.issued_at),
        still_stored=[
            (look.at, look.probe or "")
            for look in {
                look.probe: look for look in certificate.verifications if look.kind == "storage"
            }.values()
            if look.verdict == "present"
        ],
        window_at=at.get("WINDOW_PASSED"),
        store_at=at.get("STORAGE_VERIFIED"),
        stores=certificate.stores,
        reference=certificate.attestations[-1].reference if certificate.attestations else None,
    )


def statement(stage: Stage, facts: Facts, *, is_test: bool, words: Words = NEWEST) -> list[str]:
    """Say in whole sentences what is certified."""
    return _said(
        words.sentence("test") if is_test else "",
        _subject(facts, words),
        words.sentence(
            "hidden",
            at=when(facts.hidden_at),
            all="it" if facts.claimed == 1 else f"all {facts.claimed} of them",
            controls=_controls(facts.controls, words),
            reader=words.sentence(f"reader_{facts.reader}"),
        ),
        words.sentence("by_others", were=_were(facts.by_others)) if facts.by_others else "",
        words.sentence("perhaps_ours", were=_were(facts.perhaps_ours)) if facts.perhaps_ours else "",
        *_LATER[stage](facts, words),
        *(words.sentence("still_stored", at=when(at), store=store) for at, store in facts.still_stored),
    )


def describe_clock(clock: Clock, ends: str | None, words: Words = NEWEST) -> str:
    """Say how long a clock runs, who says so, and when it ends."""
    name = words.clock_names[clock.name]
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
            return count_of(seconds // size, unit)
    return count_of(seconds, "second")


def count_of(number: int, noun: str) -> str:
    """Write a number with its noun in the singular or the plural."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _said(*sentences: str) -> list[str]:
    return [sentence for sentence in sentences if sentence]


def _subject(facts: Facts, words: Words) -> str:
    values = {
        "projects": count_of(facts.projects, "project"),
        "claimed": facts.claimed,
        "matched": count_of(facts.matched, "run"),
    }
    by_ids = words.sentence("subject_ids", **values) if facts.by_ids else ""
    return by_ids or words.sentence("subject", **values)


def _controls(controls: Controls, words: Words) -> str:
    said = []
    if controls.positive:
        said.append(words.sentence("control_run", projects=count_of(controls.positive, "project")))
    if controls.empty:
        said.append(words.sentence("control_empty", projects=count_of(controls.empty, "project")))
    said.append(words.sentence("control_id"))
    return ", ".join(said)


def _after_hidden(facts: Facts, words: Words) -> Iterable[str]:
    if facts.window_ends_at is None:
        until = words.sentence("until_unknown")
    else:
        until = words.sentence("until", at=when(facts.window_ends_at), source=_source(facts.window, words))
    # Version 1 has one sentence for a window that is open and for one that ended and was not read after.
    ended = words.sentence("restorable_until", until=until) if facts.has_ended else ""
    return ended or words.sentence("restorable", until=until), words.sentence("assume_stored")


def _absent_again(facts: Facts, words: Words) -> str:
    return words.sentence(
        "window",
        at=when(facts.window_at),
        ended=when(facts.window_ends_at),
        source=_source(facts.window, words),
        kind="served" if facts.window.source == "server" else "declared",
    )


def _after_window(facts: Facts, words: Words) -> Iterable[str]:
    return _absent_again(facts, words), words.sentence("not_observed")


def _after_store(facts: Facts, words: Words) -> Iterable[str]:
    return (
        _absent_again(facts, words),
        words.sentence("store", at=when(facts.store_at), stores=", ".join(facts.stores)),
        words.sentence("copies"),
        "" if "local" in facts.stores else words.sentence("objects_only"),
    )


def _after_attested(facts: Facts, words: Words) -> Iterable[str]:
    return _absent_again(facts, words), words.sentence("attested", reference=facts.reference or "-")


_LATER = {
    "HIDDEN": _after_hidden,
    "WINDOW_PASSED": _after_window,
    "STORAGE_VERIFIED": _after_store,
    "PROVIDER_ATTESTED": _after_attested,
}


def _source(clock: Clock, words: Words) -> str:
    if clock.source == "server":
        return words.sentence("from_server")
    return words.sentence(
        "from_operator",
        by=clock.declared_by or "operator",
        margin=f"{DECLARED_MARGIN.days} day",
    )


def _were(count: int) -> str:
    return "1 of them was" if count == 1 else f"{count} of them were"
