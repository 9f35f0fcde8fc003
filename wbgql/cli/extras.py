"""What to say where an optional part is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from wbgql.errors import ConfigError


@contextmanager
def server_extra(extra: str = "server") -> Iterator[None]:
    """Turn a missing package of an extra into advice.

    Raises:
        ConfigError: a package is not installed; the message says how to install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "wbgql":
            raise
        raise ConfigError(f"package {error.name!r} is not installed: pip install 'wbgql[{extra}]'") from error
