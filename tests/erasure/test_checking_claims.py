"""Whoever holds the certifier's key cannot sign what the rest of the folder contradicts.

Each leaf of a certificate is altered and the certificate signed again by its own key; then each line of its
population and of its verifications. What the check lets pass is listed here: the signer's own word.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.erasure.certified import CERTIFIER, HandMadeCase
from tests.erasure.made_plans import CASE_KEY, clocks, make_plan, planned_artifact, planned_run
from wbgql.erasure.evidence.bundle import read_certificate, read_population, read_verifications
from wbgql.erasure.evidence.certificate import Certificate, sign_certificate, summarize
from wbgql.erasure.evidence.check import Asked, Report, check_bundle
from wbgql.erasure.evidence.population import count_items, root_of, to_csv
from wbgql.erasure.records import canonical
from wbgql.erasure.records.plan import Clock, ExcludedRun, NotRead, Plan
from wbgql.erasure.records.verification import Controls, Finding, Residual, Verification
from wbgql.paths import RunPath

TRUSTED = frozenset([CERTIFIER.public])
SIGNERS_WORD = ("certificate_id", "issued_by_version", "retention")
"""What nothing else tells, with the plan and the case key at hand."""
OF_THE_PLAN = (
    *("request.", "server.", "tool.", "plan.", "scope.", "issued_at: "),
    *("approvals.required", "approvals.approvers: ", "approvals.given: "),
)
"""What only the plan tells: a certificate has it from there."""
FIRST = Path(__file__).parent / "certificates_1"


def _plan() -> Plan:
    runs = [
        planned_run("r1", planned_artifact("net"), planned_artifact("old", decision="keep", reason="linked")),
        planned_run("r2", planned_artifact("ref", references=3), project="audio"),
        planned_run("r3"),
        planned_run("r4"),
    ]
    excluded = [ExcludedRun(path="acme/vision/r9", reason="held", detail="hold H-1")]
    return make_plan(
        *runs,
        required=2,
        excluded=excluded,
        not_read=[NotRead(path="acme/secret", reason="not visible")],
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> HandMadeCase:
    """A case with a bit of everything, certified up to the provider's word."""
    made = HandMadeCase(tmp_path_factory.mktemp("case"), _plan())
    made.apply({"r3": "erased_by_other", "r4": "denied"})
    made.pass_(minutes=5)
    left = [Residual(subject="5" * 64, kind="system_artifact", reason="listed", run=0)]
    made.verify(residuals=left, controls=Controls(positive=1, empty=1, negative=2))
    made.certify()
    made.pass_(minutes=5)
    made.verify("not_hidden", findings=[Finding(subject=made.subject(0), kind="run", state="visible", run=0)])
    made.reopen(0)
    made.pass_(minutes=5)
    made.apply()
    made.pass_(days=8)
    longer = Clock(name="undelete_window", seconds=7 * 86400 + 3600, source="server")
    made.verify(residuals=left, clocks=[longer], reader="second")
    made.pass_(minutes=5)
    made.verify("absent", probe="fsspec", limits=["s3: older versions were not looked at"])
    made.certify(attest="TICKET-9", keep_until="2028-12-31", keep_basis="CCPA-7101")
    return made


@pytest.fixture
def bundle(stored: HandMadeCase, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stored.bundle, tmp_path / "bundle"))


def _check(bundle: Path, **asked: Any) -> Report:
    return check_bundle(bundle, TRUSTED, Asked(**asked))


def _failed(report: Report) -> dict[str, str]:
    return {check.name: check.detail for check in report.checks if check.ok is False}


def _sign(bundle: Path, certificate: Certificate) -> None:
    (bundle / "certificate.json").write_bytes(sign_certificate(certificate, CERTIFIER).to_bytes())


def _forge(bundle: Path, **changes: Any) -> None:
    _sign(bundle, msgspec.structs.replace(read_certificate(bundle).certificate, **changes))


_Path = tuple[str | int, ...]


def _leaves(value: Any, path: _Path = ()) -> Iterator[_Path]:
    """Where the texts, numbers and empty things of JSON data stand; of a list also the list itself."""
    match value:
        case dict() if value:
            for name, part in value.items():
                yield from _leaves(part, (*path, name))
        case list() if value:
            yield path
            for number, part in enumerate(value):
                yield from _leaves(part, (*path, number))
        case _:
            yield path


def _altered(value: Any) -> Iterator[Any]:
    """Other values of the same kind."""
    match value:
        case bool():
            yield not value
        case int():
            yield value + 1
            if value:
                yield value - 1
        case str() if len(value) in (20, 24) and value.endswith("Z"):
            yield "2026-01-20" + value[10:]
            yield "2025-12-20" + value[10:]
        case str():
            yield value[:-1] + ("0" if value[-1:] != "0" else "1")
            yield "HIDDEN"
            yield "hidden"
        case list() if value:
            yield value[:-1]
            yield [*value, value[-1]]
            yield value[::-1]
        case list():
            yield ["x"]
        case dict():
            yield {"hidden": 1}
        case None:
            yield "2026-01-20T00:00:00Z"
            yield 1


def _put(value: Any, path: _Path, changed: Any) -> Any:
    if not path:
        return changed
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _put(value[path[0]], path[1:], changed)
    return copy


def _mutants(certificate: Certificate) -> Iterator[tuple[str, Certificate]]:
    """The certificate with one leaf altered, as far as it still is one."""
    plain = msgspec.to_builtins(certificate)
    for path in _leaves(plain):
        value = plain
        for step in path:
            value = value[step]
        for changed in _altered(value):
            try:
                mutant = msgspec.convert(_put(plain, path, changed), Certificate)
            except msgspec.ValidationError:
                continue
            if mutant != certificate and mutant.version == certificate.version:
                yield f"{'.'.join(map(str, path))}: {value!r} -> {changed!r}", mutant


def _let_pass(bundle: Path, certificate: Certificate, asked: Asked) -> list[str]:
    passed = []
    for name, mutant in _mutants(certificate):
        _sign(bundle, mutant)
        if mutant.certified_by == CERTIFIER.key_id and check_bundle(bundle, TRUSTED, asked).is_good:
            passed.append(name)
    return passed


def test_the_certificate_itself_passes(bundle, stored):
    report = _check(bundle, plan=stored.plan, case_key=CASE_KEY)

    assert _failed(report) == {}
    assert report.certificate.stage == "PROVIDER_ATTESTED"
    assert report.certificate.population.runs == {"hidden": 2, "erased_by_other": 1, "denied": 1}


def test_no_altered_leaf_passes_beside_the_plan_and_the_case_key(bundle, stored):
    certificate = read_certificate(bundle).certificate

    passed = _let_pass(bundle, certificate, Asked(plan=stored.plan, case_key=CASE_KEY))

    let_pass = (*SIGNERS_WORD, "issued_at: ", "approvals.given: ")  # later; doubled or in another order
    assert [name for name in passed if not name.startswith(let_pass)] == []


def test_no_altered_leaf_of_what_was_proved_passes_without_the_plan(bundle):
    certificate = read_certificate(bundle).certificate

    passed = _let_pass(bundle, certificate, Asked())

    assert [name for name in passed if not name.startswith((*SIGNERS_WORD, *OF_THE_PLAN))] == []
    assert not [name for name in passed if name.startswith(("scope.projects.0.p", "scope.projects.0.m"))]


@pytest.mark.parametrize("name", ["window", "stored", "attested", "after_finding"])
def test_no_altered_leaf_of_version_1_passes(name, tmp_path):
    folder = Path(shutil.copytree(FIRST / name, tmp_path / "bundle"))
    certificate = read_certificate(folder).certificate

    passed = _let_pass(folder, certificate, Asked())

    # Version 1 has the words of a look's limits, and who declared a clock, nowhere else.
    let_pass = (*SIGNERS_WORD, *OF_THE_PLAN, "limitations.7", "clocks.0.clock.declared")
    assert [one for one in passed if not one.startswith(let_pass)] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("outcome", "held"),
        ("reason", "hold"),
        ("at", "2026-01-02T00:00:00Z"),
        ("proof", "absent_in_store"),
        ("proof", "absent"),
        ("proof", "not_verified"),
        ("project", 2),
        ("run", 3),
        ("subject", "a" * 64),
        ("outcome", "hidden"),
        ("outcome", "open"),
    ],
)
def test_no_altered_line_of_the_population_passes_under_a_new_root(bundle, field, value):
    items = read_population(bundle / "population.csv")
    passed = []
    for number, item in enumerate(items):
        if getattr(item, field) == value:
            continue
        changed = [*items[:number], msgspec.structs.replace(item, **{field: value}), *items[number + 1 :]]
        (bundle / "population.csv").write_text("".join(to_csv(changed)))
        _forge(bundle, merkle_root=root_of(changed), population=count_items(changed, matched=5))
        # A kept version's reason is a code of the plan's, which the journal does not record.
        by_plan = field in ("reason", "subject", "project") and item.outcome in ("kept", "excluded")
        if _check(bundle).is_good and not by_plan:
            passed.append(item.no)

    assert passed == []


def _rewrite(bundle: Path, change: Callable[[list[Verification]], list[Verification]]) -> None:
    """Alter the verifications, and list them in the certificate as they are then."""
    changed = change(read_verifications(bundle / "verifications.jsonl"))
    lines = [canonical.encode(one) + b"\n" for one in changed]
    (bundle / "verifications.jsonl").write_bytes(b"".join(lines))
    looks = read_certificate(bundle).certificate.verifications
    listed = [
        msgspec.structs.replace(
            looks[number],
            no=number + 1,
            digest=one.digest,
            verdict=one.verdict,
            findings=summarize(finding.state for finding in one.findings),
            residuals=summarize(residual.kind for residual in one.residuals),
        )
        for number, one in enumerate(changed)
    ]
    _forge(bundle, verifications=listed)


@pytest.mark.parametrize(
    "change",
    [
        lambda made: [one for one in made if one.verdict != "not_hidden"],
        lambda made: [msgspec.structs.replace(one, verdict="hidden", findings=[]) for one in made],
        lambda made: [msgspec.structs.replace(one, residuals=[]) for one in made],
        lambda made: [msgspec.structs.replace(one, limits=[]) for one in made],
        lambda made: [msgspec.structs.replace(one, clocks=[]) for one in made],
        lambda made: made[:-1],
        lambda made: made[::-1],
    ],
)
def test_a_verification_cannot_be_left_out_or_made_better(bundle, change):
    _rewrite(bundle, change)

    assert {"verifications", "claims"} & set(_failed(_check(bundle)))


def test_limits_and_residuals_that_verifications_found_cannot_be_left_out_of_the_words(bundle):
    certificate = read_certificate(bundle).certificate
    for field in ("statement", "limitations", "stays"):
        for number in range(len(getattr(certificate, field))):
            lines = getattr(certificate, field)
            _sign(
                bundle, msgspec.structs.replace(certificate, **{field: lines[:number] + lines[number + 1 :]})
            )
            assert "words" in _failed(_check(bundle)), lines[number]


def test_the_claims_of_a_rejected_certificate_are_not_answered(bundle):
    asked = {"case_key": CASE_KEY, "run": RunPath("acme", "vision", "r1")}
    assert _check(bundle, **asked).answer is not None

    _forge(bundle, statement=["All of it was erased for ever."])

    assert _check(bundle, **asked).answer is None


def test_two_certificates_of_a_ledger_that_was_rolled_back_are_forked(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    made = HandMadeCase(tmp_path / "one", make_plan(required=2))
    made.apply()
    made.verify()
    made.certify()
    other = HandMadeCase(tmp_path / "other", make_plan(required=2))
    other.pass_(minutes=1)
    other.apply()
    other.verify()
    other.verify()
    other.certify()

    for older, newer in permutations((other.bundle, made.bundle)):
        said = _failed(_check(older, newer=newer))["newer certificate"]
        assert said.startswith("forked: ")
        assert "differ from entry 1 on" in said
    alone = shutil.copy(other.bundle / "certificate.json", tmp_path / "alone.json")
    assert "superseded" in _failed(_check(made.bundle, newer=alone))["newer certificate"]


def test_a_plan_with_other_clocks_is_noticed_when_the_plan_is_at_hand(bundle, stored):
    certificate = read_certificate(bundle).certificate
    named = msgspec.structs.replace(certificate.plan, clocks=clocks(undelete=60))
    _forge(bundle, plan=named)

    assert "plan" in _failed(_check(bundle, plan=stored.plan))
    assert "plan" in _failed(_check(bundle, plan=stored.plan, case_key=CASE_KEY))
