"""Ed25519 keys: who approved, who certified. PEM files; signatures over canonical bytes.

A signature is 128 lower-case hex digits. Hex and not base64, because some base64 texts differ and mean the
same bytes: a changed digit would then go unnoticed.

Source: RFC 8032 (Ed25519), RFC 8410 (its PEM forms), 2026.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wbgql.cautions import warn
from wbgql.erasure.records.canonical import encode
from wbgql.erasure.records.small_files import read_small
from wbgql.errors import ExposedKeyWarning, NotApproved, StoreError, UsageError
from wbgql.private_files import create_private
from wbgql.secrecy import hide

KEY_ID = r"^ed25519:[0-9a-f]{32}\Z"
MAX_KEY_BYTES = 64 * 1024
_MAKE_ONE = "`wbgql erase key new FILE` makes one"
_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)


class PublicKey:
    """One Ed25519 public key. `key_id`: `ed25519:` and 32 hex digits of the SHA-256 of its 32 raw bytes."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self._raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.key_id = f"ed25519:{hashlib.sha256(self._raw).hexdigest()[:32]}"

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Read a PEM block, or 32 raw bytes as base64.

        Raises:
            UsageError: neither, or a key of another kind.
        """
        if "-----BEGIN" in text:
            return cls(_public_from_pem(text.encode()))
        try:
            raw = base64.b64decode(text.strip(), validate=True)
            return cls(Ed25519PublicKey.from_public_bytes(raw))
        except (binascii.Error, ValueError) as error:
            raise UsageError("not a public key: neither PEM nor 32 bytes of Ed25519 as base64") from error

    def to_base64(self) -> str:
        """The raw bytes as base64: the short form that `parse` reads."""
        return base64.b64encode(self._raw).decode()

    def to_pem(self) -> str:
        """The key as a PEM block."""
        return self._key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()

    def verifies(self, value: Any, signature: str) -> bool:
        """Whether `signature` was made by this key over the canonical bytes of `value`."""
        try:
            raw = bytes.fromhex(signature)
        except ValueError:
            return False
        if raw.hex() != signature:  # upper case or spaces: the same bytes in another writing
            return False
        try:
            self._key.verify(raw, encode(value))
        except InvalidSignature:
            return False
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self._raw == other._raw

    def __hash__(self) -> int:
        return hash(self._raw)

    def __repr__(self) -> str:
        return f"PublicKey({self.key_id})"


class PrivateKey:
    """One Ed25519 private key, which signs. Its `repr` gives nothing away."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    @classmethod
    def from_seed(cls, seed: bytes) -> PrivateKey:
        """Make the key of 32 secret bytes, which come from the caller's source of randomness."""
        try:
            return cls(Ed25519PrivateKey.from_private_bytes(seed))
        except ValueError as error:
            raise UsageError(f"an Ed25519 key is made of 32 bytes, not {len(seed)}") from error

    @property
    def key_id(self) -> str:
        """That of the public key."""
        return self.public.key_id

    def sign(self, value: Any) -> str:
        """Sign the canonical bytes of `value`: 128 hex digits."""
        return self._key.sign(encode(value)).hex()

    def to_pem(self, passphrase: str | None) -> bytes:
        """The key as PKCS#8, encrypted where a passphrase is given."""
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase is not None:
            encryption = serialization.BestAvailableEncryption(passphrase.encode())
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )

    def __repr__(self) -> str:
        return f"PrivateKey({self.key_id})"


def write_key(path: Path, key: PrivateKey, passphrase: str | None) -> Path:
    """Write a new private key (mode 0600) and beside it `<path>.pub`; return the latter. Overwrites nothing.

    Raises:
        UsageError: one of the two is there already.
        StoreError: they cannot be written.
    """
    public = path.with_name(f"{path.name}.pub")
    for file in (path, public):
        if file.exists() or file.is_symlink():
            raise UsageError(f"{str(file)!r} is there already: a key is never overwritten")
    _write_new(path, key.to_pem(passphrase), 0o600)
    _write_new(public, key.public.to_pem().encode(), 0o644)
    return public


def read_key(path: Path, passphrase: Callable[[], str | None]) -> PrivateKey:
    """Read a private key. `passphrase` is asked only where the file is encrypted; None: nobody knows it.

    Warns (`ExposedKeyWarning`) where others may read the file.

    Raises:
        UsageError: no key, a public one, or one of another kind.
        NotApproved: the passphrase is wrong or missing.
        StoreError: the file cannot be read.
    """
    content = read_small(path, MAX_KEY_BYTES, "a key")
    _warn_if_exposed(path)
    where = f"{str(path)!r}"
    if b"PRIVATE KEY-----" not in content:
        kind = "a public key" if b"PUBLIC KEY-----" in content else "not a key"
        raise UsageError(f"{where} is {kind}: an Ed25519 private key in PEM is needed; {_MAKE_ONE}")
    if b"BEGIN OPENSSH" in content:
        raise UsageError(f"{where} is OpenSSH's own form: PKCS#8 in PEM is needed; {_MAKE_ONE}")
    return PrivateKey(_private_from_pem(content, where, passphrase))


def read_public_keys(content: bytes, where: str) -> list[PublicKey]:
    """Read one or more PEM public keys that stand in one text.

    Raises:
        UsageError: none, a private key, or one of another kind.
    """
    if b"PRIVATE KEY-----" in content:
        raise UsageError(f"{where} holds a private key: the public one is enough, and the other is nobody's")
    blocks = _PEM.findall(content)
    if not blocks:
        raise UsageError(f"{where} holds no public key in PEM")
    return [PublicKey(_public_from_pem(block, where)) for block in blocks]


def _private_from_pem(content: bytes, where: str, passphrase: Callable[[], str | None]) -> Ed25519PrivateKey:
    secret = None
    if b"BEGIN ENCRYPTED" in content:
        given = hide(passphrase())
        if given is None:
            raise NotApproved(
                f"{where} needs a passphrase: give it at the prompt or as $WBGQL_KEY_PASSPHRASE"
            )
        secret = given
    try:
        key = serialization.load_pem_private_key(content, None if secret is None else secret.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if secret is not None:
            raise NotApproved(f"{where} does not open: the passphrase is wrong, or it is damaged") from error
        raise UsageError(f"{where} is not a key: its PEM is damaged; {_MAKE_ONE}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{where} is a key of another kind ({_kind(key)}): Ed25519 is needed; {_MAKE_ONE}")
    return key


def _public_from_pem(content: bytes, where: str = "the text") -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"{where} is not a public key: its PEM is damaged, or it is a private one"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{where} is a key of another kind ({_kind(key)}): Ed25519 is needed; {_MAKE_ONE}")
    return key


def _kind(key: object) -> str:
    return type(key).__name__.removesuffix("PrivateKey").removesuffix("PublicKey").strip("_")


def _warn_if_exposed(path: Path) -> None:
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        warn(
            f"{str(path)!r} can be read by others: whoever has it can sign in its owner's place "
            f"(`chmod 600 {path}`)",
            ExposedKeyWarning,
        )


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        create_private(path, content, mode=mode)
    except OSError as error:
        raise StoreError(f"cannot write {str(path)!r}: {(error.strerror or str(error)).lower()}") from error
