"""What a plan is asked for, checked before anything is sent. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from wbgql.erasure.planning.caps import DEFAULT_CAPS, Canaries
from wbgql.erasure.planning.decisions import Policy
from wbgql.erasure.reading.clocks import Declared
from wbgql.erasure.records.plan import Approvers, Caps, Request
from wbgql.erasure.records.profile import Profile
from wbgql.errors import UsageError
from wbgql.expressions import Expr, freeze, parse_expression
from wbgql.paths import ProjectPath, RunPath
from wbgql.runs import ProjectScope

DEFAULT_TTL = timedelta(days=7)
MAX_TEXT = 100


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What a plan is asked for: runs by `scope` and `where`, or by `ids`.

    `entire`: projects of which every run may go. `only_permitted`: runs that this key may not delete are
    left out instead of refused. `allow_missing`: so are ids that are not there. `with_files`: the files of
    each run are deleted one by one too, at once and for good; hiding a run leaves them to the server.
    `profile`: what a probe found out about the server, which the plan then cites.
    """

    request: Request
    scope: Sequence[ProjectScope] = ()
    where: Expr | str | None = None
    ids: Sequence[RunPath] | None = None
    entire: frozenset[ProjectPath] = frozenset()
    caps: Caps = DEFAULT_CAPS
    canaries: Canaries = field(default_factory=lambda: Canaries(frozenset(), frozenset()))
    policy: Policy = field(default_factory=Policy)
    only_permitted: bool = False
    allow_missing: bool = False
    with_files: bool = False
    approvers: Approvers | None = None
    planner_key_id: str | None = None
    declared: Declared | None = None
    ttl: timedelta = DEFAULT_TTL
    profile: Profile | None = None

    def check(self, base_url: str) -> None:
        """Raise `UsageError` if this cannot be meant, of the server at `base_url`.

        Raises:
            UsageError: nothing is selected, everything is, two ways to select are mixed, or the profile is
                another server's.
        """
        if self.profile is not None and self.profile.base_url != base_url:
            raise UsageError(f"the profile is of {self.profile.base_url!r}, but this is {base_url!r}")
        if self.ids is not None and (self.scope or self.where is not None or self.entire):
            raise UsageError("name runs by their ids, or select them in projects: not both")
        if self.ids is not None and not self.ids:
            raise UsageError("the list of ids is empty: there is nothing to plan")
        if self.ids is None and not self.scope:
            raise UsageError("name the projects: entity/project, or entity/* for all that can be seen")
        if self.ids is None and self.where is None and not self.entire:
            raise UsageError(
                "without a rule every run matches: give --where, ids, or --entire-project ENTITY/PROJECT"
            )
        if self.ttl <= timedelta(0):
            raise UsageError("the time to live of a plan (ttl, --ttl) must be longer than 0 seconds")
        if self.caps.max_runs < 1:
            raise UsageError(f"max_runs (--max-runs) must be at least 1, not {self.caps.max_runs}")
        if not 0 <= self.caps.max_percent <= 100:
            raise UsageError(
                f"max_percent (--max-percent) must be between 0 and 100, not {self.caps.max_percent:g}"
            )
        _check_request(self.request)

    def frozen_where(self, now: datetime) -> Expr | None:
        """The rule with every `ago()` fixed to an instant; None where runs are named, or all are meant.

        Raises:
            FilterError: it cannot be read.
        """
        if self.where is None:
            return None
        expr = parse_expression(self.where) if isinstance(self.where, str) else self.where
        return freeze(expr, now)


def _check_request(request: Request) -> None:
    for name, text in (("reference", request.reference), ("legal basis", request.basis)):
        if not text.strip() or not text.isprintable() or len(text) > MAX_TEXT:
            raise UsageError(f"the {name} must be 1 to {MAX_TEXT} printable characters")
        if "@" in text:
            raise UsageError(f"the {name} holds an address: it is copied into the evidence, so name a ticket")
    if request.received_at and request.due_at and request.due_at < request.received_at:
        raise UsageError(f"due on {request.due_at}, before it was received on {request.received_at}")
