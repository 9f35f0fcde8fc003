"""A local server that the wandb SDK and this package take for W&B."""

from __future__ import annotations

from wbgql.server.retention import Finding, PurgeReport
from wbgql.server.serving import RunningServer, serve, start
from wbgql.server.settings import DEFAULT_PORT, ServerSettings, default_data_dir
from wbgql.server.stores import (
    add_org,
    add_team,
    add_user,
    advance_clock,
    audit_log,
    audit_requests,
    audit_subject,
    list_users,
    purge,
    restrict_project,
    rotate_key,
    scan_store,
    share_project,
)

__all__ = [
    "serve",
    "start",
    "RunningServer",
    "ServerSettings",
    "DEFAULT_PORT",
    "default_data_dir",
    "add_user",
    "list_users",
    "add_org",
    "add_team",
    "rotate_key",
    "restrict_project",
    "share_project",
    "advance_clock",
    "purge",
    "PurgeReport",
    "audit_log",
    "audit_requests",
    "audit_subject",
    "scan_store",
    "Finding",
]
