"""Makes a plan: reads which runs match, what hangs on them, and decides what goes. Changes nothing."""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from wbgql.erasure import APPROVERS_VARIABLE
from wbgql.erasure.planning.asking import Ask
from wbgql.erasure.planning.caps import Canaries
from wbgql.erasure.planning.decisions import Policy
from wbgql.erasure.planning.making import ConfirmEntire, Stages, Surface, no_stages, refuse_entire
from wbgql.erasure.planning.making import make_plan as _make_plan
from wbgql.erasure.reading.clocks import Declared
from wbgql.erasure.reading.facts import ArtifactFacts, RunFacts, read_artifact_facts, read_run_facts
from wbgql.erasure.reading.fingerprints import (
    artifact_fingerprint,
    fingerprint,
    is_artifact_as_planned,
    is_run_as_planned,
)
from wbgql.erasure.records.plan import Plan
from wbgql.erasure.records.subjects import KEY_BYTES, CaseKey

if TYPE_CHECKING:
    from wbgql.client import Client

__all__ = [
    "make_plan",
    "open_surface",
    "Ask",
    "Canaries",
    "Declared",
    "Policy",
    "Surface",
    "RunFacts",
    "ArtifactFacts",
    "read_run_facts",
    "read_artifact_facts",
    "fingerprint",
    "artifact_fingerprint",
    "is_run_as_planned",
    "is_artifact_as_planned",
]


def make_plan(client: Client, ask: Ask, *, now: datetime | None = None) -> tuple[Plan, CaseKey]:
    """Make a plan with this client's key and holds; see `making.make_plan` for cost and errors.

    Where `ask` names no approvers and `$WBGQL_APPROVERS` names a file, one of its keys must approve the plan.
    Write both with `plan_files.create_case`: without the key, nothing can be named in the evidence later.
    """
    if ask.approvers is None and os.environ.get(APPROVERS_VARIABLE):
        from wbgql.erasure.records.approvals import configured_approvers, require  # noqa: PLC0415  # of an extra

        listed = configured_approvers()
        if listed is not None:
            ask = replace(ask, approvers=require(listed, None, ask.planner_key_id))
    surface = open_surface(client.settings.base_url, now or datetime.now(UTC))
    return _make_plan(client.session, ask, client.holds, surface), surface.case_key


def open_surface(
    base_url: str,
    now: datetime,
    *,
    stages: Stages = no_stages,
    confirm_entire: ConfirmEntire = refuse_entire,
) -> Surface:
    """Return what a new plan takes from outside, with a new id and a new case key."""
    return Surface(
        now=now,
        plan_id=f"{now:%Y%m%d}-{secrets.token_hex(6)}",
        case_key=CaseKey(secrets.token_bytes(KEY_BYTES)),
        base_url=base_url,
        stages=stages,
        confirm_entire=confirm_entire,
    )
