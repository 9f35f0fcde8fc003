"""A local server that the wandb SDK and this package take for W&B.

Names are imported when they are first used: who adds a user needs nothing of what answers requests.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wbgql.server.http.serving import RunningServer as RunningServer
    from wbgql.server.http.serving import serve as serve
    from wbgql.server.http.serving import start as start
    from wbgql.server.lifecycle.retention import Finding as Finding
    from wbgql.server.lifecycle.retention import PurgeReport as PurgeReport
    from wbgql.server.operator.accounts import add_org as add_org
    from wbgql.server.operator.accounts import add_team as add_team
    from wbgql.server.operator.accounts import add_user as add_user
    from wbgql.server.operator.accounts import advance_clock as advance_clock
    from wbgql.server.operator.accounts import clock_doubt as clock_doubt
    from wbgql.server.operator.accounts import confirm_clock as confirm_clock
    from wbgql.server.operator.accounts import list_users as list_users
    from wbgql.server.operator.accounts import reset_keys as reset_keys
    from wbgql.server.operator.accounts import restrict_project as restrict_project
    from wbgql.server.operator.accounts import rotate_key as rotate_key
    from wbgql.server.operator.accounts import share_project as share_project
    from wbgql.server.operator.purges import audit_log as audit_log
    from wbgql.server.operator.purges import audit_requests as audit_requests
    from wbgql.server.operator.purges import audit_subject as audit_subject
    from wbgql.server.operator.purges import purge as purge
    from wbgql.server.operator.purges import scan_store as scan_store
    from wbgql.server.settings import DEFAULT_PORT as DEFAULT_PORT
    from wbgql.server.settings import ServerSettings as ServerSettings
    from wbgql.server.settings import default_data_dir as default_data_dir

_HOMES = {
    "serve": "http.serving",
    "start": "http.serving",
    "RunningServer": "http.serving",
    "ServerSettings": "settings",
    "DEFAULT_PORT": "settings",
    "default_data_dir": "settings",
    "add_user": "operator.accounts",
    "list_users": "operator.accounts",
    "add_org": "operator.accounts",
    "add_team": "operator.accounts",
    "rotate_key": "operator.accounts",
    "reset_keys": "operator.accounts",
    "restrict_project": "operator.accounts",
    "share_project": "operator.accounts",
    "advance_clock": "operator.accounts",
    "clock_doubt": "operator.accounts",
    "confirm_clock": "operator.accounts",
    "purge": "operator.purges",
    "PurgeReport": "lifecycle.retention",
    "audit_log": "operator.purges",
    "audit_requests": "operator.purges",
    "audit_subject": "operator.purges",
    "scan_store": "operator.purges",
    "Finding": "lifecycle.retention",
}

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
    "reset_keys",
    "restrict_project",
    "share_project",
    "advance_clock",
    "clock_doubt",
    "confirm_clock",
    "purge",
    "PurgeReport",
    "audit_log",
    "audit_requests",
    "audit_subject",
    "scan_store",
    "Finding",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'wbgql.server' has no attribute {name!r}")
    value = getattr(import_module(f"wbgql.server.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
