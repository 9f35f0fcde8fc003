"""How large and how slow an answer may be before the client stops reading it. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from wbgql.errors import ConfigError

_VARIABLES = {
    "answer_bytes": "WBGQL_MAX_ANSWER_BYTES",
    "answer_s": "WBGQL_MAX_ANSWER_SECONDS",
    "download_bytes": "WBGQL_MAX_DOWNLOAD_BYTES",
    "download_bytes_s": "WBGQL_MIN_DOWNLOAD_RATE",
}


class TooSlow(TimeoutError):
    """An answer did not end in its time; not a timeout of one read."""


class TooLarge(Exception):
    """An answer is larger than the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits on what a server may send. A limit that is reached ends the read with an error that names it.

    `answer_bytes`: one GraphQL answer or manifest, unpacked. `answer_s`: seconds from the request until such
    an answer is whole. A download has `answer_s` seconds, and one more for each `download_bytes_s` bytes that
    came. `download_bytes`: one file whose size the server does not declare; a declared size is its own limit.
    """

    answer_bytes: int = 512 * 2**20
    answer_s: float = 600.0
    download_bytes: int = 100 * 2**30
    download_bytes_s: float = 1024.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (value > 0 and math.isfinite(value)):
                raise ConfigError(f"the limit {field.name} must be a positive number, not {value!r}")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Limits:
        """Return the limits that the environment sets; an empty variable counts as unset.

        Raises:
            ConfigError: a variable is no positive number.
        """
        found: dict[str, float] = {}
        for name, variable in _VARIABLES.items():
            text = environ.get(variable)
            if not text:
                continue
            try:
                found[name] = int(text) if name.endswith("_bytes") else float(text)
            except ValueError as error:
                raise ConfigError(f"{variable} must be a positive number, not {text!r}") from error
        return cls(**found)  # type: ignore[arg-type]  # whole numbers where bytes are counted

    def too_large(self, what: str) -> str:
        """Say that an answer is larger than allowed."""
        return (
            f"{what} is larger than {self.answer_bytes} bytes, the limit WBGQL_MAX_ANSWER_BYTES: ask for "
            "less at once, or raise the limit"
        )

    def too_slow(self, what: str) -> str:
        """Say that an answer took longer than allowed."""
        return (
            f"{what} did not end within its time, the limit WBGQL_MAX_ANSWER_SECONDS ({self.answer_s:g} s; a "
            f"download has 1 s more for each {self.download_bytes_s:g} bytes, WBGQL_MIN_DOWNLOAD_RATE)"
        )
