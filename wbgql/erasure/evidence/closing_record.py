"""The record that a case was closed: what was destroyed, when, by whose key, and what that leaves. No I/O."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from wbgql.erasure.evidence.certificate import JournalNamed, Retention, Signature, verify_signature
from wbgql.erasure.records.canonical import encode
from wbgql.erasure.records.journal import Head
from wbgql.erasure.records.keys import KEY_ID, PrivateKey
from wbgql.errors import NotVerified

MAX_BYTES = 1024 * 1024
CAVEATS = (
    "Files were overwritten once and removed; file systems that copy on write, snapshots and drives that "
    "move blocks may keep what stood in them before.",
    "Copies of the plan or the case key that somebody made are not known here.",
    "The evidence names nobody any more: whether a run was in the case can be told only by whoever kept a "
    "copy of the case key.",
)
DESTROYED = (
    "the plan, with the rule and every id",
    "the case key",
    "the approvals beside the plan; the certificate has them",
    "the ledger's rows that named runs, artifact versions and files",
    "the engine's batches",
)
LEDGER_CAVEATS = {
    True: "The ledger's rows were overwritten in its file; backups of that file are its keeper's.",
    False: "The ledger's rows were removed and not overwritten: the database's old pages, log and backups "
    "are its keeper's.",
}


class Closing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is signed. `incomplete`: the reference under which it was closed before its time, or None.

    `certificate`: the digest of the last one, None where there is none. `journal`: the whole journal, whose
    last entry says that the case was closed.
    """

    schema: Literal["wbgql-erasure-closing/1"] = "wbgql-erasure-closing/1"
    plan: Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
    at: str
    closed_by: Annotated[str, msgspec.Meta(pattern=KEY_ID)]
    certificate: str | None
    incomplete: str | None
    destroyed: list[str]
    caveats: list[str]
    retention: Retention
    journal: JournalNamed

    @property
    def head(self) -> Head:
        """The signed end of the whole journal."""
        return Head(seq=self.journal.last_seq, hash=self.journal.head)


class SignedClosing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`closing.json`: canonical bytes and a line end."""

    closing: Closing
    signature: Signature

    def to_bytes(self) -> bytes:
        """The file's content."""
        return encode(self) + b"\n"

    @property
    def is_signed(self) -> bool:
        """Whether the signature fits the record and the key that stands beside it."""
        named = self.signature.key_id == self.closing.closed_by
        return named and verify_signature(self.signature, _signed(self.closing))


_DECODER = msgspec.json.Decoder(SignedClosing)


def sign_closing(closing: Closing, key: PrivateKey) -> SignedClosing:
    """Sign a closing record with the key that it names."""
    signature = Signature(
        key_id=key.key_id, public_key=key.public.to_base64(), value=key.sign(_signed(closing))
    )
    return SignedClosing(closing=closing, signature=signature)


def parse_closing(content: bytes) -> SignedClosing:
    """Read `closing.json` as `to_bytes` wrote it, to the byte. Checks no signature.

    Raises:
        NotVerified: it is anything else.
    """
    try:
        read = _DECODER.decode(content)
        written = read.to_bytes()
    except (ValueError, RecursionError) as error:
        raise NotVerified("closing.json is not a closing record of this version") from error
    if written != content:
        raise NotVerified("closing.json is not written as a closing record is: it was changed")
    return read


def _signed(closing: Closing) -> dict[str, Any]:
    return {"purpose": "wbgql-erasure-closing/1", "closing": closing}
