"""Certificates of earlier versions stay valid: their words, fields and files are those of their version.

`certificates_1/` holds certificates as version 1 gave them out, one for each stage and for special cases.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from tests.erasure.certified import CERTIFIER, HandMadeCase
from wbgql.erasure.evidence.bundle import read_certificate
from wbgql.erasure.evidence.certificate import parse_certificate, sign_certificate
from wbgql.erasure.evidence.check import Asked, check_bundle, read_trusted
from wbgql.erasure.evidence.wording import WORDS, facts_of, statement
from wbgql.erasure.reports.rendering import read_contents, render
from wbgql.errors import NotVerified

STORED = Path(__file__).parent / "certificates_1"
NAMES = sorted(folder.name for folder in STORED.iterdir() if folder.is_dir())
FIXED = {
    1: "86b1437ac324b5fda5f88a8fa6411e00c3f3605ad9a1e5937d4f022ee33790e4",
    2: "c1a13075e4866e0cbe16c0465c38bdc9614071af297f7e7a518d4a4ec9aa7eba",
}


@pytest.mark.parametrize("version", FIXED)
def test_the_words_of_earlier_versions_never_change(version):
    encoded = msgspec.json.encode(WORDS[version], order="sorted")
    assert hashlib.sha256(encoded).hexdigest() == FIXED[version]


@pytest.mark.parametrize("name", NAMES)
def test_a_certificate_of_version_1_stays_valid(name):
    report = check_bundle(STORED / name, read_trusted(STORED / "certifier.pem.pub"), Asked())

    assert [check for check in report.checks if check.ok is False] == []
    assert report.certificate.version == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_certificate_of_version_1_is_put_in_the_words_of_version_1(name):
    certificate = read_certificate(STORED / name).certificate
    said = statement(
        certificate.stage,
        facts_of(certificate),
        is_test=certificate.is_test,
        words=WORDS[certificate.version],
    )

    assert said == certificate.statement


@pytest.mark.parametrize("name", NAMES)
def test_a_report_is_made_of_a_certificate_of_version_1(name):
    contents, items = read_contents(STORED / name)

    assert contents.title == WORDS[1].titles[contents.certificate.stage]
    assert contents.certificate.digest in render(contents, items, "md").replace("\\", "")


def test_a_new_certificate_is_of_the_newest_version(tmp_path):
    made = HandMadeCase(tmp_path)
    made.apply()
    made.verify()

    assert made.certify().signed.certificate.version == max(WORDS)


def test_a_certificate_has_the_fields_of_its_version_and_no_others(tmp_path):
    made = HandMadeCase(tmp_path)
    made.apply()
    made.verify()
    newest = made.certify().signed.certificate
    oldest = read_certificate(STORED / "hidden").certificate

    for mixed in (
        msgspec.structs.replace(newest, plan=msgspec.structs.replace(newest.plan, forks=msgspec.UNSET)),
        msgspec.structs.replace(newest, schema=oldest.schema),
        msgspec.structs.replace(oldest, schema=newest.schema),
    ):
        with pytest.raises(NotVerified, match="fields of version"):
            parse_certificate(sign_certificate(mixed, CERTIFIER).to_bytes())
