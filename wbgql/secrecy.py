"""Secrets that tracebacks with local variables do not show. No I/O."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any


class Secret(str):
    """A text whose `repr` hides it, also in parts. `str()` and formatting give the text itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __getitem__(self, index: Any) -> Secret:  # a debugger cuts a long text before it shows it
        return Secret(super().__getitem__(index))


class Unshown(Mapping[str, str]):
    """A mapping, such as the environment, whose `repr` does not show its values."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<{len(self)} values>"


def hide(text: str | None) -> Secret | None:
    """Return a text as a secret; None stays None."""
    return None if text is None else Secret(text)


def basic_token(api_key: str) -> Secret:
    """The token of Basic authentication as user `api` with the key as password."""
    return Secret(base64.b64encode(f"api:{api_key}".encode()).decode())


def basic_authorization(api_key: str) -> Secret:
    """The value of the header `Authorization`."""
    return Secret(f"Basic {basic_token(api_key)}")
