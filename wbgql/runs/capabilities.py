"""What a server can do with a list of runs, found out once and kept as long as its session."""

from __future__ import annotations

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from wbgql.wire.session import Session

_KEYS = frozenset({"Run.config(keys:)", "Run.summaryMetrics(keys:)"})


@dataclass(slots=True)
class Capabilities:
    """`missing`: what the schema was found to lack, as the session has it. `asked`: keys were asked for.

    `ignores_keys`: the schema has `keys`, and the server sends other keys all the same. `orders`: by what
    the server was seen to sort, as far as it had to be asked.
    """

    missing: set[str] = field(default_factory=set)
    asked: bool = False
    ignores_keys: bool = False
    orders: set[str] = field(default_factory=set)

    @property
    def projects(self) -> bool:
        """Whether keys may be asked for: yes, until the server has refused."""
        return not self.missing & _KEYS

    def __str__(self) -> str:
        if not self.projects:
            return "the client, since this server has no `keys` argument: config and summary travel whole"
        if self.ignores_keys:
            return "the client, since this server ignores `keys`: config and summary travel whole"
        return "the server" if self.asked else "the server, if it knows `keys` (not tried yet)"


_found: WeakKeyDictionary[Session, Capabilities] = WeakKeyDictionary()


def capabilities_of(session: Session) -> Capabilities:
    """Return what is known of the server behind `session`; shared by all its selections."""
    return _found.setdefault(session, Capabilities(session.missing))
