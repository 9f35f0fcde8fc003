"""The journal: an append-only chain of entries, each of which holds the hash of the one before. No I/O.

Entries name runs by keyed hashes only (`subjects`), so a journal may be handed to an auditor. A changed,
missing or reordered entry breaks the chain; a cut tail is seen against a signed head (the certificate's).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from wbgql.erasure.records.canonical import digest

GENESIS = "sha256:" + "0" * 64

KINDS: dict[str, str] = {
    "job_created": "plan (digest), approvals (key ids), runs, artifacts, files: how many are to go",
    "started": "executor, generation",
    "stop": "subject: the run is about to be told to stop",
    "intent": "subject, action, attempt; of a run also tags (a keyed hash): then the request leaves",
    "outcome": "subject, action, outcome, detail (a code), attempts: set once",
    "quarantined": "lo, hi: a batch that ended its worker too often; its open actions failed",
    "paused": "reason",
    "applied": "counts by kind and outcome",
    "retried": "the operator wants what has not gone to be tried again",
    "reopened": "subjects of runs that came back",
    "verified": "digest of the verification, verdict, counts, controls",
    "watched": "verdict, came_back (run number, subject), late (subjects), controls, audit counts",
    "certificate": "stage, digest",
    "attested": "reference",
    "closed": "what was destroyed",
}
"""Every kind of entry, with what its body holds; runs, artifact versions and files are named by subjects."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry. `seq` counts from 1 and gives the order; `at` (UTC) is information only.

    `kind` says what happened (one of `KINDS`), `body` the rest: texts,
    integers, booleans, null, lists and objects of them. `hash` is over all other fields.
    """

    seq: int
    at: str
    kind: str
    body: dict[str, Any]
    prev: str
    hash: str


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a journal ends: `seq` 0 and `GENESIS` for an empty one."""

    seq: int = 0
    hash: str = GENESIS


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """The first entry that does not fit: its `seq` as it should be, and what is wrong."""

    seq: int
    reason: str


def make_entry(head: Head, at: str, kind: str, body: dict[str, Any]) -> Entry:
    """Make the entry that follows `head`."""
    seq = head.seq + 1
    return Entry(
        seq=seq, at=at, kind=kind, body=body, prev=head.hash, hash=_hash(seq, at, kind, body, head.hash)
    )


def find_break(entries: Iterable[Entry], head: Head | None = None) -> Break | None:
    """Return the first entry that does not fit, or None where the chain is whole.

    With `head` it must also end there: an entry too few is a cut tail, one too many was added later.
    Streams; memory does not grow.
    """
    last = Head()
    for entry in entries:
        if head is not None and last.seq == head.seq:
            return Break(seq=entry.seq, reason="it stands behind the signed end")
        wrong = _wrong(entry, last)
        if wrong is not None:
            return Break(seq=last.seq + 1, reason=wrong)
        last = Head(seq=entry.seq, hash=entry.hash)
    if head is None or last == head:
        return None
    if last.seq < head.seq:
        return Break(seq=last.seq + 1, reason=f"it is missing: the signed end is entry {head.seq}")
    return Break(seq=last.seq, reason="it is not the entry that was signed")


def _wrong(entry: Entry, last: Head) -> str | None:
    if entry.seq != last.seq + 1:
        return f"entry {entry.seq} stands in its place"
    if entry.prev != last.hash:
        return "it does not follow the entry before it"
    if entry.hash != _hash(entry.seq, entry.at, entry.kind, entry.body, entry.prev):
        return "its content does not match its hash"
    return None


def _hash(seq: int, at: str, kind: str, body: dict[str, Any], prev: str) -> str:
    return digest({"seq": seq, "at": at, "kind": kind, "body": body, "prev": prev})
