"""What a report says, in the order in which it says it: exceptions first. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from wbgql.erasure.evidence.certificate import Certificate, SignedCertificate
from wbgql.erasure.evidence.check import Check
from wbgql.erasure.evidence.population import Item
from wbgql.erasure.evidence.stages import STAGES, Stage
from wbgql.erasure.evidence.wording import WORDS, Words, describe_clock, when

Tone = Literal["good", "bad", "note", "quiet"]
MAX_LISTED = 100
SHORT = 12  # digits of a keyed hash that are shown; its line in population.csv has all

_GOOD_PROOFS = frozenset({"absent", "absent_in_store"})
_TONES: Mapping[str, Tone] = {
    "hidden": "good",
    "deleted": "good",
    "erased_by_other": "quiet",
    "gone_before": "quiet",
    "gone_after_attempt": "quiet",
    "kept": "note",
    "excluded": "note",
    "held": "note",
    "denied": "note",
    "changed": "note",
    "moved": "note",
    "skipped": "note",
    "not_visible": "bad",
    "failed": "bad",
    "open": "bad",
}


@dataclass(frozen=True)
class Oddity:
    """One kind of thing that is not as hoped for: how many, and what it is."""

    count: int
    words: str
    tone: Tone


@dataclass(frozen=True)
class Rung:
    """One stage: whether it was reached, and when."""

    name: str
    reached_at: str | None


@dataclass(frozen=True)
class Share:
    """One outcome within a kind of thing: for a bar and its line in the table."""

    words: str
    count: int
    tone: Tone


@dataclass(frozen=True)
class Group:
    """Runs, artifact versions or files, by outcome."""

    name: str
    shares: list[Share]

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(share.count for share in self.shares)


@dataclass(frozen=True)
class Contents:
    """A report: everything a template needs, in words."""

    signed: SignedCertificate
    checks: list[Check]
    title: str
    rungs: list[Rung]
    exceptions: list[Oddity]
    listed: list[Item]
    not_listed: int
    groups: list[Group]
    clocks: list[str]

    @property
    def certificate(self) -> Certificate:
        """The certificate itself."""
        return self.signed.certificate

    @property
    def whose_key(self) -> str:
        """Whether somebody was asked whose key signed, and what came of it."""
        trusted = next((check for check in self.checks if check.name == "trusted key"), None)
        if trusted is None or not trusted.ok:
            return "NOT CHECKED: no trusted keys were given, so anybody may have signed this"
        return f"checked: {trusted.detail} trusted keys"

    @property
    def words(self) -> Words:
        """The words of its version."""
        return WORDS[self.certificate.version]


def make_contents(signed: SignedCertificate, items: Sequence[Item], checks: Sequence[Check]) -> Contents:
    """Put a report together from a certificate and its population."""
    certificate = signed.certificate
    words = WORDS[certificate.version]
    odd = [item for item in items if _is_odd(item)]
    return Contents(
        signed=signed,
        checks=list(checks),
        title=words.titles[certificate.stage],
        rungs=_rungs(certificate, words),
        exceptions=list(_exceptions(certificate, items, words)),
        listed=odd[:MAX_LISTED],
        not_listed=max(0, len(odd) - MAX_LISTED),
        groups=list(_groups(certificate, words)),
        clocks=[describe_clock(timed.clock, when(timed.ends_at), words) for timed in certificate.clocks],
    )


def short(subject: str) -> str:
    """The first digits of a keyed hash."""
    return subject[:SHORT]


def describe_item(item: Item, words: Words) -> str:
    """Say what became of an item."""
    if item.is_claimed:
        link = "" if item.proof in _GOOD_PROOFS else "but "
        return f"{words.outcomes[item.outcome]}, {link}{words.proofs[item.proof]}"
    reason = "" if item.reason is None else f" ({words.reasons.get(item.reason, item.reason)})"
    return f"{words.outcomes[item.outcome]}{reason}"


def _is_odd(item: Item) -> bool:
    """Whether an item is an exception. What was kept by decision has a part of the report of its own."""
    if item.is_claimed:
        return item.proof not in _GOOD_PROOFS
    return item.outcome != "kept"


def _rungs(certificate: Certificate, words: Words) -> list[Rung]:
    at = {step.stage: step.at for step in certificate.steps}
    last: Stage = "PROVIDER_ATTESTED" if "PROVIDER_ATTESTED" in at else "STORAGE_VERIFIED"
    return [Rung(words.stage_names[stage], at.get(stage)) for stage in (*STAGES[:2], last)]


def _exceptions(certificate: Certificate, items: Sequence[Item], words: Words) -> Iterator[Oddity]:
    yield from _unproved(items, words)
    yield from _untouched(items, words)
    last = {look.kind: look for look in certificate.verifications}
    left: Counter[str] = Counter()
    for look in last.values():
        for kind, count in look.residuals.items():
            left[kind] = max(left[kind], count)
    for kind, count in sorted(left.items()):
        yield Oddity(count, f"left: {words.residuals[kind]}", "note")
    if certificate.scope.not_read:
        count = len(certificate.scope.not_read)
        yield Oddity(count, "named in the scope, and could not be read: nothing is said of it", "note")
    if certificate.execution.reopened:
        yield Oddity(certificate.execution.reopened, "times runs came back and were hidden again", "note")
    failed = [look for look in certificate.verifications if look.verdict in ("not_hidden", "cannot_verify")]
    if failed:
        yield Oddity(len(failed), "verifications that found runs, or could prove nothing", "note")


def _unproved(items: Sequence[Item], words: Words) -> Iterator[Oddity]:
    """What is claimed, and was not read as absent: at the top, because the claim rests on nothing."""
    proofs = Counter(item.proof for item in items if item.is_claimed and item.proof not in _GOOD_PROOFS)
    for proof, count in proofs.most_common():
        yield Oddity(count, f"said to be gone, but {words.proofs[proof]}", "bad")


def _untouched(items: Sequence[Item], words: Words) -> Iterator[Oddity]:
    found = Counter(
        (item.kind, describe_item(item, words), _TONES[item.outcome])
        for item in items
        if not item.is_claimed and item.outcome != "kept"
    )
    for (kind, fate, tone), count in sorted(found.items(), key=lambda one: (one[0][2] != "bad", -one[1])):
        yield Oddity(count, f"{_KINDS[kind]}: {fate}", tone)


_KINDS = {"run": "runs", "artifact": "artifact versions", "file": "files"}


def _groups(certificate: Certificate, words: Words) -> Iterator[Group]:
    population = certificate.population
    runs = population.runs | {"excluded": sum(population.excluded.values())}
    for name, counts in (
        ("Runs", runs),
        ("Artifact versions", population.artifacts),
        ("Files", population.files),
    ):
        shares = [
            Share(words.outcomes[outcome], counts[outcome], _TONES[outcome])
            for outcome in _TONES
            if counts.get(outcome)
        ]
        if shares:
            yield Group(name, shares)
