"""What a journal tells, in one pass: what happened in which order, and how often. No I/O.

The order of things is the journal's, never that of clocks: a clock that was set back would put a verification
before the deletion that it verified.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from wbgql.erasure.records.actions import GONE
from wbgql.erasure.records.journal import Entry, Head

# After one of these, what was verified before is not verified any more.
_CHANGES = ("outcome", "reopened", "retried")


class Attestation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The operator's word that the provider confirmed the removal: under which reference, and when."""

    reference: str
    at: str
    seq: int


class Issued(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A certificate that was given out before: its stage and its digest."""

    stage: str
    digest: str
    at: str
    seq: int


class Trail(msgspec.Struct, frozen=True, kw_only=True):
    """One journal, followed to `head`. `kinds` counts entries by kind, `told` gives the places of a digest.

    `changed_seq`: the last entry that changed what is gone, 0 for none. `at`: times of the first and the last
    entry of each kind. `gone`: by subject, the outcome of what is recorded as gone and has not come back.
    """

    head: Head
    kinds: dict[str, int]
    told: dict[str, list[int]]
    changed_seq: int
    at: dict[str, tuple[str, str]]
    attestations: list[Attestation]
    issued: list[Issued]
    gone: dict[str, str] = {}

    def first(self, kind: str) -> str | None:
        """When an entry of this kind was first written."""
        return self.at[kind][0] if kind in self.at else None

    def last(self, kind: str) -> str | None:
        """When an entry of this kind was last written."""
        return self.at[kind][1] if kind in self.at else None


def follow(entries: Iterable[Entry]) -> Trail:
    """Read a journal once. Checks no hash: `journals.find_break` does. Streams."""
    kinds: Counter[str] = Counter()
    told: dict[str, list[int]] = {}
    at: dict[str, tuple[str, str]] = {}
    attestations: list[Attestation] = []
    issued: list[Issued] = []
    gone: dict[str, str] = {}
    head, changed = Head(), 0
    for entry in entries:
        kinds[entry.kind] += 1
        at[entry.kind] = (at[entry.kind][0] if entry.kind in at else entry.at, entry.at)
        head = Head(seq=entry.seq, hash=entry.hash)
        note_gone(gone, entry)
        if entry.kind in _CHANGES:
            changed = entry.seq
        elif entry.kind == "attested":
            reference = _text(entry.body, "reference")
            attestations.append(Attestation(reference=reference, at=entry.at, seq=entry.seq))
        elif entry.kind == "certificate":
            stage, digest = _text(entry.body, "stage"), _text(entry.body, "digest")
            issued.append(Issued(stage=stage, digest=digest, at=entry.at, seq=entry.seq))
        elif "digest" in entry.body:
            told.setdefault(_text(entry.body, "digest"), []).append(entry.seq)
    return Trail(
        head=head,
        kinds=dict(kinds),
        told=told,
        changed_seq=changed,
        at=at,
        attestations=attestations,
        issued=issued,
        gone=gone,
    )


def note_gone(gone: dict[str, str], entry: Entry) -> None:
    """Take into `gone` (outcomes by subject) what an entry says of something that went or came back."""
    subject, outcome = entry.body.get("subject"), entry.body.get("outcome")
    if entry.kind == "outcome" and isinstance(subject, str) and isinstance(outcome, str):
        gone.pop(subject, None)
        if outcome in GONE:
            gone[subject] = outcome
    elif entry.kind == "reopened":
        back = entry.body.get("subjects")
        for subject in back if isinstance(back, list) else []:
            gone.pop(subject, None)


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""
