"""The secrets of a store, in a file of their own: a copy of the database alone forges nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from dataclasses import dataclass
from pathlib import Path

from wbgql.errors import StoreError

FILE = "secrets.json"
_OR_RESET = ", or end all keys with `wbgql server key reset`"


@dataclass(frozen=True, repr=False)
class Keyring:
    """32 random bytes for each purpose.

    `signing` is for what admits: keys, sessions and signed URLs. `subjects` makes the keyed hashes that stand
    for purged runs in tombstones and in the audit log. `ends_keys`: a reset is under way, and the database
    may still list keys and sessions of older secrets, which `Store` deletes when it opens.
    """

    signing: bytes
    subjects: bytes
    ends_keys: bool = False

    def hash_key(self, digest: bytes) -> bytes:
        """What the database keeps of an API key or a session, from the SHA-256 of it."""
        return hmac.digest(hmac.digest(self.signing, b"keys", "sha256"), digest, "sha256")


def digest_of(secret: str) -> bytes:
    """What goes into `Keyring.hash_key`: keys are long and random, so one round of SHA-256 is enough."""
    return hashlib.sha256(secret.encode()).digest()


def make(data: Path, subjects: bytes | None = None) -> Keyring:
    """Write the secrets of a store that has none, or return those that are there. `subjects`: one it had.

    The file is on the disk, readable by its owner alone, when this returns. The caller keeps others out.
    """
    if (data / FILE).exists():
        return read(data)
    return _write(data, Keyring(os.urandom(32), subjects or os.urandom(32)))


def replace(data: Path, subjects: bytes | None) -> Keyring:
    """Write new secrets over those that are there; what was signed with the old ones is refused from now on.

    `subjects` is kept, None: a new one. The file is on the disk when this returns, and says that the keys of
    the database end: if the process dies here, the next one that opens the store goes on.
    """
    return _write(data, Keyring(os.urandom(32), subjects or os.urandom(32), ends_keys=True))


def settle(data: Path) -> Keyring:
    """Write down that the keys and sessions of older secrets are deleted. The caller keeps others out."""
    found = read(data)
    return _write(data, Keyring(found.signing, found.subjects)) if found.ends_keys else found


def _write(data: Path, keyring: Keyring) -> Keyring:
    file = data / FILE
    fields = {"signing": keyring.signing.hex(), "subjects": keyring.subjects.hex()}
    text = json.dumps(fields | ({"ends_keys": True} if keyring.ends_keys else {}))
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    part.replace(file)
    folder = os.open(data, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return keyring


def is_readable(data: Path) -> bool:
    """Return whether the secrets of a store are there and whole."""
    try:
        read(data)
    except StoreError:
        return False
    return True


def read(data: Path) -> Keyring:
    """The secrets of a store.

    Raises:
        StoreError: the file is missing or damaged; nothing that it signed can be checked without it.
    """
    file = data / FILE
    try:
        found = json.loads(file.read_text(encoding="ascii"))
        keyring = Keyring(
            bytes.fromhex(found["signing"]),
            bytes.fromhex(found["subjects"]),
            ends_keys=bool(found.get("ends_keys")),
        )
    except FileNotFoundError as error:
        raise StoreError(
            f"store lacks its secrets: {file}, copy the file from where it came from{_OR_RESET}"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"secrets of the store are damaged: {file}, restore a copy of the file{_OR_RESET}"
        ) from error
    if len(keyring.signing) < 32 or len(keyring.subjects) < 32:
        raise StoreError(f"secrets of the store are damaged: {file}, restore a copy of the file{_OR_RESET}")
    return keyring
