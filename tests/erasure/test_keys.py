"""Keys: what is read and written, who may read it, and which signatures hold."""

from __future__ import annotations

import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from tests.erasure.made_plans import OFFICER, STRANGER
from wbgql.erasure.records.keys import PrivateKey, PublicKey, read_key, read_public_keys, write_key
from wbgql.errors import ExposedKeyWarning, NotApproved, StoreError, UsageError

VALUE = {"plan": "sha256:1", "n": 3}


def _nobody() -> None:
    return None


def test_a_key_comes_back_from_its_file_and_only_its_owner_can_read_it(tmp_path):
    public = write_key(tmp_path / "a.pem", OFFICER, None)

    read = read_key(tmp_path / "a.pem", _nobody)

    assert read.key_id == OFFICER.key_id
    assert stat.S_IMODE((tmp_path / "a.pem").stat().st_mode) == 0o600
    assert read_public_keys(public.read_bytes(), "it") == [OFFICER.public]
    assert "PRIVATE" not in public.read_text()


def test_the_key_id_is_the_hash_of_the_raw_public_key():
    # RFC 8032, 7.1, test 1.
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = PrivateKey.from_seed(seed)

    assert key.public.to_base64() == "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    assert key.key_id == "ed25519:21fe31dfa154a261626bf854046fd227"


def test_a_passphrase_is_asked_only_where_there_is_one(tmp_path):
    write_key(tmp_path / "a.pem", OFFICER, "secret")

    assert read_key(tmp_path / "a.pem", lambda: "secret").key_id == OFFICER.key_id
    with pytest.raises(NotApproved, match="passphrase is wrong"):
        read_key(tmp_path / "a.pem", lambda: "other")
    with pytest.raises(NotApproved, match="needs a passphrase"):
        read_key(tmp_path / "a.pem", _nobody)


def test_a_key_is_never_overwritten(tmp_path):
    write_key(tmp_path / "a.pem", OFFICER, None)

    with pytest.raises(UsageError, match="never overwritten"):
        write_key(tmp_path / "a.pem", STRANGER, None)
    assert read_key(tmp_path / "a.pem", _nobody).key_id == OFFICER.key_id


def test_a_key_that_others_can_read_is_told(tmp_path):
    write_key(tmp_path / "a.pem", OFFICER, None)
    (tmp_path / "a.pem").chmod(0o644)

    with pytest.warns(ExposedKeyWarning, match="chmod 600"):
        read_key(tmp_path / "a.pem", _nobody)


def _rsa() -> bytes:
    return rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (lambda: b"", "is not a key"),
        (lambda: b"\xff\x00" * 50, "is not a key"),
        (lambda: OFFICER.public.to_pem().encode(), "is a public key"),
        (_rsa, r"another kind \(RSA\)"),
        (lambda: OFFICER.to_pem(None)[:-30] + b"-----END PRIVATE KEY-----\n", "PEM is damaged"),
        (lambda: b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "OpenSSH"),
        (lambda: b"x" * 70_000, "larger than"),
    ],
)
def test_what_is_no_key_of_ours_is_named(tmp_path, content, why):
    file = tmp_path / "a.pem"
    file.write_bytes(content())
    file.chmod(0o600)

    with pytest.raises(UsageError, match=why):
        read_key(file, _nobody)


def test_a_missing_file_or_a_folder_is_told(tmp_path):
    for path in (tmp_path / "none.pem", tmp_path):
        with pytest.raises(StoreError, match="cannot read"):
            read_key(path, _nobody)


def test_public_keys_are_read_from_one_text_in_both_forms():
    both = OFFICER.public.to_pem() + STRANGER.public.to_pem()

    assert read_public_keys(both.encode(), "it") == [OFFICER.public, STRANGER.public]
    assert PublicKey.parse(OFFICER.public.to_base64()) == PublicKey.parse(OFFICER.public.to_pem())
    with pytest.raises(UsageError, match="private key"):
        read_public_keys(OFFICER.to_pem(None), "it")
    for wrong in ("", "AAAA", "not base64!", "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----"):
        with pytest.raises(UsageError):
            PublicKey.parse(wrong)


def test_a_signature_holds_for_its_value_and_its_key_only():
    signature = OFFICER.sign(VALUE)

    assert OFFICER.public.verifies(VALUE, signature)
    assert not OFFICER.public.verifies(VALUE | {"n": 4}, signature)
    assert not STRANGER.public.verifies(VALUE, signature)


@given(st.integers(0, 127), st.characters(codec="utf-8"))
def test_any_changed_character_of_a_signature_breaks_it(place, char):
    signature = OFFICER.sign(VALUE)
    changed = signature[:place] + char + signature[place + 1 :]

    assert OFFICER.public.verifies(VALUE, changed) == (changed == signature)


def test_a_key_is_not_printed():
    assert repr(OFFICER) == f"PrivateKey({OFFICER.key_id})"
    assert repr(OFFICER.public) == f"PublicKey({OFFICER.key_id})"
