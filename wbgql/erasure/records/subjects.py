"""Keyed hashes instead of names: what evidence calls a run, a project, an artifact or a person. No I/O.

The case key is made with the plan and kept apart from it. While it exists, whoever has it can answer "was run
X in it?"; once it is destroyed, the evidence names nobody.

Source: GDPR recital 26: a keyed hash is personal data while the key exists (2026).
"""

from __future__ import annotations

import hashlib
import hmac

from wbgql.errors import UsageError
from wbgql.paths import ProjectPath, RunPath

KEY_BYTES = 32


class CaseKey:
    """Names things for one case. `key_id` tells one key from another and gives nothing away."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise UsageError(f"a case key has {KEY_BYTES} bytes, not {len(secret)}")
        self._secret = secret
        self.key_id = hashlib.sha256(b"wbgql case key\0" + secret).hexdigest()[:16]

    @classmethod
    def from_hex(cls, text: str) -> CaseKey:
        """Read a key as `to_hex` writes it.

        Raises:
            UsageError: not such a text.
        """
        try:
            return cls(bytes.fromhex(text.strip()))
        except ValueError as error:
            raise UsageError("a case key is 64 hex digits") from error

    def to_hex(self) -> str:
        """The secret itself: for its file, and nowhere else."""
        return self._secret.hex()

    def run(self, base_url: str, path: RunPath) -> str:
        """The name of a run."""
        return self._name("run", base_url, path.entity, path.project, path.run_id)

    def project(self, base_url: str, path: ProjectPath) -> str:
        """The name of a project."""
        return self._name("project", base_url, path.entity, path.project)

    def artifact(self, base_url: str, artifact_id: str) -> str:
        """The name of an artifact version, from its storage id."""
        return self._name("artifact", base_url, artifact_id)

    def file(self, base_url: str, file_id: str) -> str:
        """The name of a run's file, from its storage id."""
        return self._name("file", base_url, file_id)

    def user(self, base_url: str, username: str) -> str:
        """The name of a person."""
        return self._name("user", base_url, username)

    def text(self, kind: str, text: str) -> str:
        """The name of any other text, such as an alias or a reason."""
        return self._name(kind, text)

    def _name(self, *parts: str) -> str:
        # Lengths before texts: ("a", "bc") and ("ab", "c") are told apart whatever they hold.
        message = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()

    def __repr__(self) -> str:
        return f"CaseKey({self.key_id})"
