"""Says again what a certificate says, from what it rests on, and compares. No I/O.

Whoever holds the certifier's key can sign anything. What follows from the journal, the population, the
verifications or the plan is therefore derived from them; the signer is believed only where they say nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, get_args

import msgspec

from wbgql.erasure.evidence.certificate import Certificate, Checked, Scope, make_scope, name_plan, summarize
from wbgql.erasure.evidence.deriving import Standing, derive, proved, stand
from wbgql.erasure.evidence.limitations import Told, last_limits, limitations, put_in_words
from wbgql.erasure.evidence.population import Item, Proof, Proved, as_code, make_items
from wbgql.erasure.evidence.stages import Seen
from wbgql.erasure.evidence.trail import Trail, follow
from wbgql.erasure.evidence.wording import WORDS, Words
from wbgql.erasure.records.actions import GONE, Action, make_actions
from wbgql.erasure.records.journal import Entry
from wbgql.erasure.records.plan import Clock, ClockName, Plan
from wbgql.erasure.records.subjects import CaseKey
from wbgql.erasure.records.verification import Residual, Verification
from wbgql.errors import NotVerified
from wbgql.scalars import parse_datetime

# An outcome is stamped before its entry is written; in between, the database may have been busy.
_DELAY = timedelta(minutes=5)
_BLIND = CaseKey(bytes(32))  # where no case key is given: what is hashed with it is not compared
_GOOD_PROOFS = ("absent", "absent_in_store")


@dataclass
class Recorded:
    """A journal as it goes by: its trail, the last outcome of each thing, the verifications it tells of."""

    outcomes: dict[str, Entry] = field(default_factory=dict)
    reopened: dict[str, int] = field(default_factory=dict)
    retried: int = 0
    created: Mapping[str, Any] = field(default_factory=dict)
    verified: list[Entry] = field(default_factory=list)
    trail: Trail = field(init=False)

    def of(self, subject: str, run: str | None) -> Entry | None:
        """The last outcome of a thing, None where it was opened again; `run`: the run that it belongs to."""
        entry = self.outcomes.get(subject)
        if entry is None or entry.seq < self.reopened.get(subject, 0):
            return None
        if entry.body.get("outcome") in GONE:
            return entry
        opened = max(self.retried, self.reopened.get(run or "", 0))
        return None if entry.seq < opened else entry


def record(entries: Iterable[Entry]) -> Recorded:
    """Read a journal once. Checks no hash. Memory grows with the things that have an outcome."""
    recorded = Recorded()
    recorded.trail = follow(_noting(recorded, entries))
    return recorded


def _noting(recorded: Recorded, entries: Iterable[Entry]) -> Iterator[Entry]:
    for entry in entries:
        body = entry.body
        match entry.kind:
            case "outcome":
                recorded.outcomes[str(body.get("subject"))] = entry
            case "retried":
                recorded.retried = entry.seq
            case "reopened":
                subjects = body.get("subjects")
                for subject in subjects if isinstance(subjects, list) else []:
                    recorded.reopened[str(subject)] = entry.seq
            case "job_created":
                recorded.created = body
            case "verified":
                recorded.verified.append(entry)
            case _:
                pass
        yield entry


def compare_items(items: Sequence[Item], recorded: Recorded) -> str:
    """Compare every item with what the journal records of it, and the other way round.

    Raises:
        NotVerified: they differ; names the first item.
    """
    runs: dict[int, str] = {}
    for item in items:
        if item.kind == "run" and item.run:
            runs[item.run] = item.subject
        entry = recorded.of(item.subject, runs.get(item.run))
        _compare_item(item, entry)
    known = {item.subject for item in items}
    if strangers := [subject for subject in recorded.outcomes if subject not in known]:
        raise NotVerified(
            f"the journal records outcomes of {len(strangers)} things that the population does not list"
        )
    return f"{len(recorded.trail.gone)} things are recorded as gone in both"


def _compare_item(item: Item, entry: Entry | None) -> None:
    if entry is None:
        by_plan = item.kind == "artifact" and item.outcome == "kept"
        if item.at is not None or not (by_plan or item.outcome in ("open", "excluded")):
            raise NotVerified(f"item {item.no} is {item.outcome}, the journal records nothing")
        return
    outcome = entry.body.get("outcome")
    detail = entry.body.get("detail")
    if item.outcome != outcome:
        raise NotVerified(f"item {item.no} is {item.outcome}, the journal records {outcome}")
    reason = None if outcome in GONE else as_code(detail if isinstance(detail, str) else None)
    if item.reason != reason:
        raise NotVerified(f"item {item.no} gives the reason {item.reason}, the journal {reason}")
    if item.at is None or not -_DELAY <= parse_datetime(item.at) - parse_datetime(entry.at) <= timedelta():
        raise NotVerified(f"item {item.no} was done at {item.at}, the journal records {entry.at}")


def compare_population(certificate: Certificate, items: Sequence[Item], recorded: Recorded | None) -> str:
    """Compare the population with the scope, and with what the job was created for.

    Raises:
        NotVerified: they contradict each other.
    """
    counts, scope = certificate.population, certificate.scope
    left_out = sum(count for reason, count in counts.excluded.items() if reason != "not_matching")
    per_project = Counter(item.project for item in items if item.kind == "run" and item.run)
    listed = {number: project.planned for number, project in enumerate(scope.projects, 1) if project.planned}
    kinds = Counter(item.kind for item in items if not (item.outcome == "kept" and item.at is None))
    planned = {"runs": counts.planned, "artifacts": kinds["artifact"], "files": kinds["file"]}
    created = {} if recorded is None else recorded.created
    wrong = {
        "runs that matched": counts.matched != counts.planned + left_out
        or counts.matched != sum(project.matched for project in scope.projects),
        "planned runs by project": dict(per_project) != listed,
        "numbers of runs": not _is_numbered(items),
        "more runs than the plan allowed": counts.planned > certificate.plan.max_runs,
        "ids and a rule": scope.ids is not None and (bool(scope.asks) or scope.ids < counts.matched),
        "test server": certificate.is_test != certificate.server.is_test,
        "what the job was created for": any(
            created.get(name, count) != count for name, count in planned.items()
        ),
        "approvals": not _are_given(certificate, created),
        "clocks": not _are_clocks([timed.clock for timed in certificate.clocks])
        or not _are_clocks(certificate.plan.clocks or []),
    }
    found = [name for name, is_wrong in wrong.items() if is_wrong]
    if found:
        raise NotVerified(f"the certificate contradicts itself in: {', '.join(found)}")
    return f"{counts.planned} of {counts.matched} runs in {len(scope.projects)} projects"


def _is_numbered(items: Sequence[Item]) -> bool:
    """Whether the runs count from 1, each followed by its parts, and what was left out has no number."""
    number = project = 0
    for item in items:
        if (item.outcome == "excluded") != (item.run == 0):
            return False
        if item.kind == "run" and item.run:
            number, project = number + 1, item.project
        if item.run and (item.run, item.project) != (number, project):
            return False
    return True


def _are_clocks(clocks: Sequence[Clock]) -> bool:
    """Whether each of the four stands there once, and says whose word it is; a plan may have none."""
    return [clock.name for clock in clocks] in ([], list(get_args(ClockName))) and all(
        (clock.seconds is None) == (clock.source == "unknown")
        and (clock.source == "declared" or (clock.declared_by, clock.declared_at) == (None, None))
        for clock in clocks
    )


def _are_given(certificate: Certificate, created: Mapping[str, Any]) -> bool:
    """Whether the certificate has the approvals that the job began with."""
    began_with = created.get("approvals") or []
    given = [] if certificate.approvals is None else certificate.approvals.given
    return set(began_with) <= {approval.key_id for approval in given}


def compare_claims(
    certificate: Certificate,
    items: Sequence[Item],
    recorded: Recorded,
    verifications: Sequence[Verification] | None,
) -> Standing:
    """Derive stage, steps, clocks, counts and proofs, and compare them; return how the case stands.

    `verifications`: the whole ones, None in version 1, which lists them in short only.

    Raises:
        NotVerified: the certificate says something else; names what.
    """
    seen = _seen(certificate, recorded, verifications)
    plan = certificate.plan
    if plan.clocks is msgspec.UNSET:
        plan = msgspec.structs.replace(plan, clocks=[timed.clock for timed in certificate.clocks])
    now = parse_datetime(certificate.issued_at)
    standing = stand(plan, recorded.trail, seen, items, matched=certificate.population.matched, now=now)
    derived = derive(plan, plan.clocks or [], standing, WORDS[certificate.version])
    if verifications is None:
        derived["verifications"] = certificate.verifications
    wrong = [name for name, value in derived.items() if getattr(certificate, name) != value]
    if wrong:
        stage = derived["stage"] or "no stage"
        reason = f"; they give {stage}, not {certificate.stage}" if "stage" in wrong else ""
        raise NotVerified(
            f"{', '.join(wrong)}: not what the journal, the population and the verifications give{reason}"
        )
    last = recorded.trail.at.values()
    if now < max((parse_datetime(at) for _, at in last), default=now) - _DELAY:
        raise NotVerified(f"issued_at: the journal goes on after {certificate.issued_at}")
    _compare_proofs(items, proved(seen, recorded.trail), are_whole=verifications is not None)
    if verifications is None and _hides_findings(certificate, items, recorded.trail.changed_seq, seen):
        raise NotVerified("the last verification found things that no item of the population has")
    return standing


def _seen(
    certificate: Certificate, recorded: Recorded, verifications: Sequence[Verification] | None
) -> list[Seen]:
    """Every verification that the journal tells of, in its order: the certificate lists no others."""
    if [look.no for look in certificate.verifications] != list(range(1, len(certificate.verifications) + 1)):
        raise NotVerified("the verifications are not numbered from 1")
    listed = [look.digest for look in certificate.verifications]
    if [entry.body.get("digest") for entry in recorded.verified] != listed:
        raise NotVerified("the verifications listed are not those that the journal tells of")
    if verifications is None:
        for look, entry in zip(certificate.verifications, recorded.verified, strict=True):
            _compare_short(look, entry)
        verifications = [_rebuild(certificate, look) for look in certificate.verifications]
    elif [one.digest for one in verifications] != listed:
        raise NotVerified("the verifications beside the certificate are not those that it lists")
    return [
        Seen(no=number, seq=entry.seq, verification=one)
        for number, (one, entry) in enumerate(zip(verifications, recorded.verified, strict=True), 1)
    ]


def _compare_short(look: Checked, entry: Entry) -> None:
    """Compare a verification in short, as version 1 lists them, with its entry in the journal."""
    said = {
        "kind": look.kind,
        "verdict": look.verdict,
        "reader": look.reader,
        "equal_reads": look.equal_reads,
        "probe": look.probe,
        "counts": look.counts,
        "controls": msgspec.to_builtins(look.controls),
        "findings": sum(look.findings.values()),
        "residuals": sum(look.residuals.values()),
    }
    wrong = [name for name, value in said.items() if entry.body.get(name) != value]
    if wrong:
        raise NotVerified(f"verification {look.no}: the journal has another {', '.join(wrong)}")
    if abs(parse_datetime(look.at) - parse_datetime(entry.at)) > _DELAY:
        raise NotVerified(f"verification {look.no} is said to be of {look.at}, the journal has {entry.at}")


def _rebuild(certificate: Certificate, look: Checked) -> Verification:
    """A verification as far as version 1 tells of it: how many were left, and not which."""
    left = [
        Residual(subject=f"{look.no} {kind} {number}", kind=kind, reason="")  # type: ignore[arg-type]
        for kind, count in look.residuals.items()
        for number in range(count)
    ]
    return Verification(
        plan=certificate.plan.digest,
        kind=look.kind,
        at=look.at,
        verdict=look.verdict,
        reader=look.reader,
        counts=look.counts,
        controls=look.controls,
        residuals=left,
        probe=look.probe,
    )


def _compare_proofs(items: Sequence[Item], found: Proved, *, are_whole: bool) -> None:
    """Compare what is said to be proved of each item; version 1 tells how many were found, and not which."""
    for item in items:
        expected: Proof = "not_claimed"
        if item.is_claimed:
            expected = found.of(item.kind, item.subject) if are_whole else _first_proof(found)
        may_differ = item.is_claimed and not are_whole and item.proof not in (*_GOOD_PROOFS, "not_verified")
        if item.proof != expected and not may_differ:
            raise NotVerified(f"item {item.no} is said to be {item.proof}: the verifications say otherwise")


def _first_proof(found: Proved) -> Proof:
    """What version 1 says of a claimed thing without a finding: it did not tell which were asked for."""
    if not found.read:
        return "not_verified"
    return "absent_in_store" if found.in_store else "absent"


def _hides_findings(
    certificate: Certificate, items: Sequence[Item], changed_seq: int, seen: Sequence[Seen]
) -> bool:
    """Whether the last reads of a version 1 certificate found things, and no item says so."""
    last = [one.no for one in seen if one.seq > changed_seq and one.verification.kind == "reads"][-1:]
    findings = [look.findings for look in certificate.verifications if look.no in last]
    found = any(state != "missing" for states in findings for state in states)
    return found and all(item.proof in _GOOD_PROOFS for item in items if item.is_claimed)


def compare_words(
    certificate: Certificate, standing: Standing | None, verifications: Sequence[Verification] | None
) -> str:
    """Say statement, limitations and what stays again, in the words of the certificate's version.

    Raises:
        NotVerified: the certificate says something else; names what.
    """
    words = WORDS[certificate.version]
    if standing is None or verifications is None:
        told = _told_by_signer(certificate, words)
        believed = "; what the looks could not reach is the signer's word"
    else:
        residuals = summarize(residual.kind for residual in standing.residuals)
        told = Told(
            limits=last_limits(verifications),
            residuals=residuals,
            forks=certificate.plan.forks or 0,
            references=None if certificate.plan.references is None else certificate.plan.references or 0,
        )
        believed = ""
    said = put_in_words(certificate, told)
    wrong = [
        name
        for name in ("statement", "limitations", "stays")
        if getattr(said, name) != getattr(certificate, name)
    ]
    if wrong:
        raise NotVerified(f"{', '.join(wrong)}: not what a certificate of these facts says")
    return f"words of version {certificate.version}{believed}"


def _told_by_signer(certificate: Certificate, words: Words) -> Told:
    """What can be known from the certificate alone: version 1 has some of it in its sentences only."""
    bare = limitations(certificate, [], words)
    reads = [look for look in certificate.verifications if look.kind == "reads"][-1:]
    stores = {look.probe: look for look in certificate.verifications if look.kind == "storage"}
    residuals = {}
    for kind in words.residuals:
        found = [look.residuals[kind] for look in (*reads, *stores.values()) if kind in look.residuals]
        count = _count_in(certificate.stays, words.stay("found", what=words.residuals[kind], count="#"))
        if not max(found, default=0) <= count <= sum(found):
            raise NotVerified("stays: not what the verifications found to be left")
        if count:
            residuals[kind] = count
    forks, references = certificate.plan.forks, certificate.plan.references
    if forks is msgspec.UNSET:
        forks = _count_in(certificate.stays, words.stay("forks", count="#"))
    if references is msgspec.UNSET:
        references = _count_in(certificate.stays, words.stay("references", count="#"))
    limits = [line for line in certificate.limitations if line not in bare]
    return Told(limits=limits, residuals=residuals, forks=forks, references=references)


def _count_in(lines: Iterable[str], sentence: str) -> int:
    """The number that stands for "#" in the first line that is this sentence; 0 where none is."""
    pattern = re.compile(re.escape(sentence).replace(re.escape("#"), "([0-9]+)"))
    return next((int(found[1]) for line in lines if (found := pattern.fullmatch(line))), 0)


def compare_plan(
    certificate: Certificate, plan: Plan, key: CaseKey | None, items: Sequence[Item] | None
) -> str:
    """Compare a certificate with the plan it is of; keyed hashes only where the case key is given.

    Raises:
        NotVerified: it is of another plan, or says something else of it.
    """
    if plan.digest != certificate.plan.digest:
        raise NotVerified(f"the plan is {plan.digest}, the certificate is of {certificate.plan.digest}")
    named = name_plan(plan)
    if certificate.version == 1:
        named = msgspec.structs.replace(
            named, clocks=msgspec.UNSET, forks=msgspec.UNSET, references=msgspec.UNSET
        )
    given, approvers = certificate.approvals, plan.approvers
    scope, theirs = make_scope(plan, key or _BLIND), certificate.scope
    wrong = {
        "approvers": certificate.approvers_digest != (approvers and approvers.digest)
        or (given and given.required) != (approvers and approvers.required),
        "plan": certificate.plan != named,
        "request": certificate.request != plan.request,
        "server": certificate.server != plan.server,
        "tool": certificate.tool != plan.tool,
        "scope": theirs != scope if key else _without_hashes(theirs) != _without_hashes(scope),
        "matched": certificate.population.matched != plan.totals.matched,
        "clocks": any(
            (timed.clock.seconds or 0) < (plan.clock(timed.clock.name).seconds or 0)
            and timed.clock.source != "unknown"
            for timed in certificate.clocks
        ),
        "population": key is not None and items is not None and not _are_of(items, plan, key),
    }
    found = [name for name, is_wrong in wrong.items() if is_wrong]
    if found:
        raise NotVerified(f"the plan has other: {', '.join(found)}")
    return plan.digest


def _without_hashes(scope: Scope) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(scope)
    plain |= {"rule": "", "not_read": len(plain["not_read"])}
    for part in (*plain["rights"], *plain["projects"]):
        part.pop("entity", None)
        part.pop("subject", None)
    return plain


def _are_of(items: Sequence[Item], plan: Plan, key: CaseKey) -> bool:
    """Whether these are the plan's things, in its order, whatever became of them."""
    actions = sorted(make_actions(plan), key=lambda new: (new.run_no, new.action_no))
    opened = (
        Action(
            number=new.number,
            run_no=new.run_no,
            action_no=new.action_no,
            kind=new.kind,
            target=new.target,
            run=plan.runs[new.run_no],
            run_outcome=None,
        )
        for new in actions
    )
    expected = make_items(plan, opened, key, Proved())
    return [_named(item) for item in items] == [_named(item) for item in expected]


def _named(item: Item) -> tuple[Any, ...]:
    return item.kind, item.run, item.project, item.subject, item.outcome == "excluded"
