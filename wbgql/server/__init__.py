"""A local server that the wandb SDK and this package take for W&B.

Names are imported when they are first used: who adds a user needs nothing of what answers requests.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wbgql.server.purges import audit_log as audit_log
    from wbgql.server.purges import audit_requests as audit_requests
    from wbgql.server.purges import audit_subject as audit_subject
    from wbgql.server.purges import purge as purge
    from wbgql.server.purges import scan_store as scan_store
    from wbgql.server.retention import Finding as Finding
    from wbgql.server.retention import PurgeReport as PurgeReport
    from wbgql.server.serving import RunningServer as RunningServer
    from wbgql.server.serving import serve as serve
    from wbgql.server.serving import start as start
    from wbgql.server.settings import DEFAULT_PORT as DEFAULT_PORT
    from wbgql.server.settings import ServerSettings as ServerSettings
    from wbgql.server.settings import default_data_dir as default_data_dir
    from wbgql.server.stores import add_org as add_org
    from wbgql.server.stores import add_team as add_team
    from wbgql.server.stores import add_user as add_user
    from wbgql.server.stores import advance_clock as advance_clock
    from wbgql.server.stores import clock_doubt as clock_doubt
    from wbgql.server.stores import confirm_clock as confirm_clock
    from wbgql.server.stores import list_users as list_users
    from wbgql.server.stores import reset_keys as reset_keys
    from wbgql.server.stores import restrict_project as restrict_project
    from wbgql.server.stores import rotate_key as rotate_key
    from wbgql.server.stores import share_project as share_project

_HOMES = {
    "serve": "serving",
    "start": "serving",
    "RunningServer": "serving",
    "ServerSettings": "settings",
    "DEFAULT_PORT": "settings",
    "default_data_dir": "settings",
    "add_user": "stores",
    "list_users": "stores",
    "add_org": "stores",
    "add_team": "stores",
    "rotate_key": "stores",
    "reset_keys": "stores",
    "restrict_project": "stores",
    "share_project": "stores",
    "advance_clock": "stores",
    "clock_doubt": "stores",
    "confirm_clock": "stores",
    "purge": "purges",
    "PurgeReport": "retention",
    "audit_log": "purges",
    "audit_requests": "purges",
    "audit_subject": "purges",
    "scan_store": "purges",
    "Finding": "retention",
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
