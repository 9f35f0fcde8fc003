"""The certificate: what was proved of a case, signed. No I/O.

It certifies the runs that matched one rule in the projects listed, never "the data of a subject". It names
runs, projects, entities and the rule by keyed hashes (`subjects`), says "approved by key K, listed as R" and
never "by another person", and holds no name, tag, note, value or id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import msgspec

from wbgql.erasure.evidence.population import Counts
from wbgql.erasure.evidence.stages import Stage, Step
from wbgql.erasure.evidence.trail import Attestation
from wbgql.erasure.records.approvals import Approval, Approver, ApproversFile
from wbgql.erasure.records.canonical import digest, encode
from wbgql.erasure.records.journal import Head
from wbgql.erasure.records.keys import KEY_ID, PrivateKey, PublicKey
from wbgql.erasure.records.plan import Clock, ClockName, Plan, Request, Rule, Server, Tool, total_references
from wbgql.erasure.records.subjects import CaseKey
from wbgql.erasure.records.verification import Controls, Kind, Verdict
from wbgql.errors import FilterError, NotVerified
from wbgql.expressions import parse_expression
from wbgql.paths import ProjectPath

# What a certificate names of its plan, without any name.


def name_plan(plan: Plan) -> PlanNamed:
    """Say which plan it is, under which limits it was made, and what the words need of it."""
    erased = [artifact for run in plan.runs for artifact in run.artifacts if artifact.decision == "erase"]
    return PlanNamed(
        plan_id=plan.plan_id,
        digest=plan.digest,
        created_at=plan.created_at,
        expires_at=plan.expires_at,
        planner_key=plan.planner.key_id,
        case_key_id=plan.case_key_id,
        holds=plan.holds,
        max_runs=plan.caps.max_runs,
        max_percent=plan.caps.max_percent,
        canaries=len(plan.canaries),
        clocks=plan.clocks,
        forks=sum(len(run.forks) for run in plan.runs),
        references=total_references(erased),
    )


def make_scope(plan: Plan, key: CaseKey) -> Scope:
    """Say which runs were meant: projects, rights and the rule by keyed hashes."""
    base_url = plan.server.base_url
    return Scope(
        rule=key.text("rule", encode(plan.rule).decode()),
        asks=_asks(plan.rule),
        ids=plan.rule.ids,
        entire_project=plan.rule.entire_project,
        rights=[
            ScopedRights(entity=key.text("entity", rights.entity), role=rights.role) for rights in plan.rights
        ],
        projects=[
            ScopedProject(
                subject=key.project(base_url, ProjectPath(*project.path.split("/", 1))),
                runs=project.runs,
                matched=project.matched,
                planned=project.planned,
            )
            for project in plan.projects
        ],
        not_read=[key.text("not read", part.path) for part in plan.not_read],
    )


def _asks(rule: Rule) -> list[str]:
    """The rule without its values and keys, which may name people: `created_at <`, `config[...] ==`."""
    if rule.where is None:
        return []
    try:
        conditions = parse_expression(rule.where, client_side=True).conditions()
    except FilterError:
        return ["a rule that this version cannot take apart"]
    asks = (
        f"{found.path.parts[0] if found.path.section == 'run' else f'{found.path.section}[...]'} {found.op}"
        for found in conditions
    )
    return list(dict.fromkeys(asks))


MAX_BYTES = 16 * 1024 * 1024
_KeyId = Annotated[str, msgspec.Meta(pattern=KEY_ID)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Subject = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Digest = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class PlanNamed(_Part, frozen=True, kw_only=True):
    """Which plan. `holds`: digest of the hold register as it was then. `canaries`: how many.

    Since version 2: `clocks` as the plan had them, `forks` of its runs, and `references` to storage outside
    in the versions that it erases.
    """

    plan_id: str
    digest: _Digest
    created_at: str
    expires_at: str
    planner_key: _KeyId | None
    case_key_id: str
    holds: str
    max_runs: int
    max_percent: int
    canaries: _Count
    clocks: list[Clock] | msgspec.UnsetType = msgspec.UNSET
    forks: _Count | msgspec.UnsetType = msgspec.UNSET
    references: _Count | msgspec.UnsetType | None = msgspec.UNSET

    def clock(self, name: ClockName) -> Clock:
        """One of the clocks as the plan had them; unknown where it had none of the name."""
        found = (clock for clock in self.clocks or () if clock.name == name)
        return next(found, Clock(name=name, seconds=None, source="unknown"))


class ScopedRights(_Part, frozen=True, kw_only=True):
    """The role the plan was made under, in one entity."""

    entity: _Subject
    role: str | None


class ScopedProject(_Part, frozen=True, kw_only=True):
    """One project that was read: its runs, how many matched the rule, how many were to go."""

    subject: _Subject
    runs: int
    matched: int
    planned: int


class Scope(_Part, frozen=True, kw_only=True):
    """Which runs were meant. `rule`: keyed hash of the plan's rule; `asks`: its fields and operators.

    `ids`: how many ids were given instead of a rule. `not_read`: what was named and could not be read.
    """

    rule: _Subject
    asks: list[str]
    ids: int | None
    entire_project: bool
    rights: list[ScopedRights]
    projects: list[ScopedProject]
    not_read: list[_Subject]


class ApprovalsGiven(_Part, frozen=True, kw_only=True):
    """How many had to approve, which keys might, and the approvals themselves, to be checked again."""

    required: int
    approvers: list[Approver]
    given: list[Approval]


class Execution(_Part, frozen=True, kw_only=True):
    """How it was done: counts of journal entries, and when the first and the last outcome were recorded."""

    started_at: str | None
    finished_at: str | None
    starts: _Count
    requests: _Count
    reopened: _Count


class Checked(_Part, frozen=True, kw_only=True):
    """One verification in short. `digest`: of the whole, which stands in the journal."""

    no: int
    at: str
    kind: Kind
    verdict: Verdict
    reader: Literal["job", "second"]
    equal_reads: int
    counts: dict[str, int]
    controls: Controls
    findings: dict[str, int]
    residuals: dict[str, int]
    probe: str | None
    digest: _Digest


class Timed(_Part, frozen=True, kw_only=True):
    """One clock as it counts now, and when it has run out; None where nobody knows."""

    clock: Clock
    ends_at: str | None


class JournalNamed(_Part, frozen=True, kw_only=True):
    """The journal as it was signed: from entry 1 to `last_seq`, whose hash is `head`."""

    first_seq: _Count
    last_seq: _Count
    head: _Digest


class Retention(_Part, frozen=True, kw_only=True):
    """Until when this record is kept and why; None where nobody declared it."""

    until: str | None
    basis: str | None


class Certificate(_Part, frozen=True, kw_only=True):
    """What is signed. `missing`: what the next stage needs. `merkle_root`: over the population's items.

    `schema` ends in the version, which decides the words (`wording`) and which fields there are.
    """

    schema: Literal[
        "wbgql-erasure-certificate/1", "wbgql-erasure-certificate/2", "wbgql-erasure-certificate/3"
    ] = "wbgql-erasure-certificate/3"
    certificate_id: str
    issued_at: str
    issued_by_version: str
    certified_by: _KeyId
    supersedes: _Digest | None
    is_test: bool
    stage: Stage
    statement: list[str]
    missing: str | None
    request: Request
    server: Server
    tool: Tool
    plan: PlanNamed
    scope: Scope
    approvals: ApprovalsGiven | None
    execution: Execution
    population: Counts
    items: _Count
    merkle_root: _Digest
    steps: list[Step]
    clocks: list[Timed]
    verifications: list[Checked]
    attestations: list[Attestation]
    stays: list[str]
    limitations: list[str]
    journal: JournalNamed
    retention: Retention

    @property
    def digest(self) -> str:
        """`sha256:...` over the canonical bytes: what a later certificate names in `supersedes`."""
        return digest(self)

    @property
    def version(self) -> int:
        """The version of its words and fields."""
        return int(self.schema.rpartition("/")[2])

    @property
    def head(self) -> Head:
        """The signed end of the journal."""
        return Head(seq=self.journal.last_seq, hash=self.journal.head)

    @property
    def stores(self) -> list[str]:
        """What looked at the store, each once, in the order of the last looks."""
        return list(
            dict.fromkeys(look.probe or "" for look in reversed(self.verifications) if look.kind == "storage")
        )[::-1]

    @property
    def approvers_digest(self) -> str | None:
        """The digest of the approvers file, as the plan holds it."""
        return None if self.approvals is None else ApproversFile(self.approvals.approvers).digest


class Signature(_Part, frozen=True, kw_only=True):
    """By which key; `public_key` as base64, so that it can be looked up in a list of trusted ones."""

    key_id: _KeyId
    public_key: str
    value: str


class SignedCertificate(_Part, frozen=True, kw_only=True):
    """`certificate.json`: canonical bytes and a line end."""

    certificate: Certificate
    signature: Signature

    def to_bytes(self) -> bytes:
        """The file's content."""
        return encode(self) + b"\n"

    @property
    def is_signed(self) -> bool:
        """Whether the signature fits the certificate and the key that stands beside it."""
        named = self.signature.key_id == self.certificate.certified_by
        return named and verify_signature(self.signature, _signed(self.certificate))


def verify_signature(signature: Signature, value: Any) -> bool:
    """Whether a signature over `value` was made by the key that stands in it; whose it is, is not asked."""
    try:
        key = PublicKey.parse(signature.public_key)
    except ValueError:
        return False
    # One writing for each key: else a digit of the public key could change unnoticed.
    written = key.to_base64() == signature.public_key and key.key_id == signature.key_id
    return written and key.verifies(value, signature.value)


_DECODER = msgspec.json.Decoder(SignedCertificate)


def sign_certificate(certificate: Certificate, key: PrivateKey) -> SignedCertificate:
    """Sign a certificate with the key that it names."""
    signature = Signature(
        key_id=key.key_id, public_key=key.public.to_base64(), value=key.sign(_signed(certificate))
    )
    return SignedCertificate(certificate=certificate, signature=signature)


def parse_certificate(content: bytes) -> SignedCertificate:
    """Read `certificate.json` as `to_bytes` wrote it, to the byte. Checks no signature.

    Raises:
        NotVerified: it is anything else. Quotes nothing of it.
    """
    try:
        read = _DECODER.decode(content)
        written = read.to_bytes()
    except (ValueError, RecursionError) as error:
        raise NotVerified(f"not a certificate of this version: {_reason(error)}") from error
    if written != content:
        raise NotVerified("the certificate is not written as one is: something was changed or added")
    since_2 = (read.certificate.plan.clocks, read.certificate.plan.forks, read.certificate.plan.references)
    if any((value is msgspec.UNSET) != (read.certificate.version == 1) for value in since_2):
        raise NotVerified(f"the certificate does not have the fields of version {read.certificate.version}")
    return read


def summarize(codes: Iterable[str]) -> dict[str, int]:
    """Count codes."""
    return dict(Counter(codes))


def make_approvals(
    plan: Plan, approvers: ApproversFile | None, given: Sequence[Approval]
) -> ApprovalsGiven | None:
    """Bind the approvals and the keys that were allowed to give them; None where the plan asked for none."""
    if plan.approvers is None or approvers is None:
        return None
    return ApprovalsGiven(required=plan.approvers.required, approvers=approvers.approvers, given=list(given))


def _signed(certificate: Certificate) -> dict[str, Any]:
    return {"purpose": certificate.schema, "certificate": certificate}


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    # msgspec says the place and the kind; what it quotes of unknown values stays out.
    return str(error).partition("'")[0].strip().rstrip(",:") or "it is not JSON"
