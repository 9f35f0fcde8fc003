"""Compares the names and ids in an answer with those that were asked for. No I/O.

A server may answer with another object: it redirects from a project's old name, and may ignore case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from wbgql.cautions import warn
from wbgql.documents import Echo, Operation, Prepared
from wbgql.errors import RedirectWarning, ResponseError, UsageError


def check_names(
    operation: Operation[Any], prepared: Prepared, variables: Mapping[str, Any], result: Any
) -> None:
    """Report an answer about an object of another path, or refuse it, as the operation says.

    An object of another id is no answer to the question, and always an error. Pages behind the first
    are not reported again. What the answer does not repeat is not compared.

    Raises:
        UsageError: the operation refuses other paths.
        ResponseError: the run or version is not the one that was asked for.
    """
    asked: list[str] = []
    found: list[str] = []
    for echo in prepared.echoes if operation.names != "own" else ():
        wanted, name = variables.get(echo.variable), _dig(result, echo)
        if not isinstance(wanted, str) or not isinstance(name, str):
            continue
        if echo.path[-1] == "id" or echo.path[-2] == "run":
            same = name == wanted or (echo.path[-1] == "name" and name.casefold() == wanted.casefold())
            if not same:
                raise ResponseError(
                    f"the server answered with {echo.path[-2]} {name!r} where {wanted!r} was asked for",
                    operation=operation.name,
                )
        asked.append(wanted)
        found.append(name)
    if asked == found:
        return
    before, after = "/".join(asked), "/".join(found)
    if operation.names == "refuse":
        raise UsageError(f"the server resolved {before!r} to {after!r}; use that path. Nothing was changed")
    if not variables.get("after"):
        report_other_path(before, after)


def report_other_path(asked: str, found: str) -> None:
    """Warn that the server answered from another path than the one that was asked for."""
    warn(
        f"the server resolved {asked!r} to {found!r}: something was renamed, or is spelt in another case; "
        "use that path, because changes and deletions refuse others",
        RedirectWarning,
    )


def _dig(result: Any, echo: Echo) -> Any:
    for key in echo.path:
        result = result.get(key) if isinstance(result, dict) else getattr(result, _attribute(key), None)
    return result


@cache
def _attribute(key: str) -> str:
    """The attribute that holds a key; `Result` renames them the other way."""
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", key)
