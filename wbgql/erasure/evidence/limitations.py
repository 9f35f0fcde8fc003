"""What a certificate does not say, and what stays, in plain words. No I/O.

Both are made from the certificate and from what its verifications tell, so that a check can say them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from wbgql.erasure.evidence.certificate import Certificate
from wbgql.erasure.evidence.wording import WORDS, Words, count_of, facts_of, statement, when
from wbgql.erasure.records.verification import Verification


@dataclass(frozen=True)
class Told:
    """What the words need and the certificate does not list.

    `limits`: `last_limits` of its verifications. `residuals`: what they found to be left, by kind. `forks` of
    the plan's runs; `references` to storage outside in the versions that it erases,
    None if the server did not say which files are references.
    """

    limits: Sequence[str]
    residuals: Mapping[str, int]
    forks: int
    references: int | None


def put_in_words(certificate: Certificate, told: Told) -> Certificate:
    """Return the certificate with its statement, limitations and what stays, in the words of its version.

    Raises:
        NotVerified: the certificate contradicts itself.
    """
    words = WORDS[certificate.version]
    return msgspec.structs.replace(
        certificate,
        statement=statement(
            certificate.stage, facts_of(certificate), is_test=certificate.is_test, words=words
        ),
        limitations=limitations(certificate, told.limits, words),
        stays=what_stays(certificate, told, words),
    )


def last_limits(verifications: Iterable[Verification]) -> list[str]:
    """What the last verification of each kind, and by each probe, could not look at."""
    last = {f"{one.kind} {one.probe}": one for one in verifications}
    return [limit for one in last.values() for limit in one.limits]


def limitations(certificate: Certificate, limits: Sequence[str], words: Words) -> list[str]:
    """Say what the evidence does not cover, the gravest first."""
    said = (
        *_scope(certificate, words),
        *_population(certificate, words),
        *_looks(certificate, words),
        *limits,
        *_trust(certificate, words),
    )
    return [sentence for sentence in said if sentence]


def what_stays(certificate: Certificate, told: Told, words: Words) -> list[str]:
    """Say what is left although everything was done as planned."""
    said = [
        words.stay("found", what=words.residuals[kind], count=count)
        for kind, count in sorted(told.residuals.items())
    ]
    said.extend(
        words.stay("kept", reason=words.reasons.get(reason, reason), count=count)
        for reason, count in sorted(certificate.population.kept.items())
    )
    if told.forks and not told.residuals.get("fork"):
        said.append(words.stay("forks", count=told.forks))
    if told.references is None:
        said.append(words.stay("references_unknown"))
    if told.references:
        said.append(words.stay("references", count=told.references))
    said.extend(
        words.stay(name)
        for name in ("later_artifacts", "originals", "pages", "traces", "backups", "copies", "audit")
    )
    return [line for line in said if line]


def _scope(certificate: Certificate, words: Words) -> Iterator[str]:
    scope = certificate.scope
    if certificate.is_test:
        yield words.limitation("test")
    if scope.not_read:
        yield words.limitation("not_read", count=len(scope.not_read))
    roles = ", ".join(sorted({rights.role or "a role the server does not name" for rights in scope.rights}))
    yield words.limitation("key", at=when(certificate.plan.created_at), roles=roles or "nobody known")
    yield words.limitation("later_runs")


def _population(certificate: Certificate, words: Words) -> Iterator[str]:
    counts = certificate.population
    if counts.open:
        things, are = count_of(counts.open, "thing"), "is" if counts.open == 1 else "are"
        yield words.limitation("open", count=counts.open, things=things, are=are)
    if counts.excluded:
        left_out = sum(counts.excluded.values())
        yield words.limitation(
            "excluded",
            count=left_out,
            runs=count_of(left_out, "run"),
            were="was" if left_out == 1 else "were",
        )


def _looks(certificate: Certificate, words: Words) -> Iterator[str]:
    if not certificate.stores:
        yield words.limitation("no_look")
    if certificate.server.profile is None:
        yield words.limitation("no_profile")
    if not any(look.reader == "second" for look in certificate.verifications):
        yield words.limitation("one_key")
    reads = [look for look in certificate.verifications if look.kind == "reads"]
    if not reads:
        return
    counts = reads[-1].counts
    files = counts.get("files", 0) - counts.get("files_absent", 0)
    if files > 0:
        one = files == 1
        yield words.limitation(
            "files", files=count_of(files, "file"), are="is" if one else "are", them="it" if one else "them"
        )
    if "projects_searched" in counts:
        unread = counts.get("projects_not_searched", 0)
        yield words.limitation(
            "moved", projects=count_of(counts["projects_searched"], "project"), unread=unread
        )
    else:
        yield words.limitation("moved_not_searched")
    if not counts.get("clock_known", 1):
        yield words.limitation("no_clock")


def _trust(certificate: Certificate, words: Words) -> Iterator[str]:
    yield words.limitation("no_approval" if certificate.approvals is None else "approval")
    yield words.limitation("clocks")
    yield words.limitation("holds")
    yield words.limitation("hashes")
