"""What a server can do with a list of runs, found out once and kept as long as its session."""

from __future__ import annotations

import re
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from wbgql.errors import RequestError
from wbgql.session import Session

# The words of the GraphQL libraries for an argument or field that the schema lacks.
_LACKS = re.compile(r"unknown argument \W?keys|cannot query field \W?totalCount", re.IGNORECASE)


@dataclass(slots=True)
class Capabilities:
    """None: not found out yet.

    `takes_keys`: the schema has `config(keys:)`, `summaryMetrics(keys:)` and `RunConnection.totalCount`.
    `ignores_keys`: it has them, and sends other keys all the same.
    """

    takes_keys: bool | None = None
    ignores_keys: bool = False

    @property
    def projects(self) -> bool:
        """Whether keys may be asked for: yes, until the server has refused."""
        return self.takes_keys is not False

    def __str__(self) -> str:
        if self.takes_keys is False:
            return "the client, since this server has no `keys` argument: config and summary travel whole"
        if self.ignores_keys:
            return "the client, since this server ignores `keys`: config and summary travel whole"
        return "the server" if self.takes_keys else "the server, if it knows `keys` (not tried yet)"


_found: WeakKeyDictionary[Session, Capabilities] = WeakKeyDictionary()


def capabilities_of(session: Session) -> Capabilities:
    """Return what is known of the server behind `session`; shared by all its selections."""
    return _found.setdefault(session, Capabilities())


def lacks_keys(error: RequestError) -> bool:
    """Whether the server refused a document because its schema is older than these arguments."""
    return _LACKS.search(str(error)) is not None
