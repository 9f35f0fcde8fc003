"""Raw GraphQL administration of Weights & Biases, beside the wandb SDK.

    import wbgql as wb

    client = wb.Client()
    runs = client.runs("acme/vision", where=wb.summary["val/acc"] > 0.9, select=[wb.summary["val/acc"]])

Names are imported when they are first used, so that `import wbgql` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from wbgql.client import Client as Client
    from wbgql.deletes import Deletion as Deletion
    from wbgql.deletes import Undeletion as Undeletion
    from wbgql.documents import Operation as Operation
    from wbgql.documents import Result as Result
    from wbgql.documents import load_documents as load_documents
    from wbgql.errors import WbgqlError as WbgqlError
    from wbgql.expressions import ago as ago
    from wbgql.expressions import config as config
    from wbgql.expressions import run as run
    from wbgql.expressions import step as step
    from wbgql.expressions import summary as summary
    from wbgql.runs import Run as Run
    from wbgql.runs import RunSelection as RunSelection
    from wbgql.safety.holds import HoldRegister as HoldRegister
    from wbgql.settings import Settings as Settings
    from wbgql.settings import default_settings as default_settings
    from wbgql.wire.session import Session as Session

_HOMES = {
    "WbgqlError": "errors",
    "Client": "client",
    "Settings": "settings",
    "default_settings": "settings",
    "Deletion": "deletes",
    "Undeletion": "deletes",
    "Operation": "documents",
    "Result": "documents",
    "load_documents": "documents",
    "ago": "expressions",
    "config": "expressions",
    "run": "expressions",
    "step": "expressions",
    "summary": "expressions",
    "HoldRegister": "safety.holds",
    "Run": "runs",
    "RunSelection": "runs",
    "Session": "wire.session",
}

__all__ = [
    "Client",
    "Settings",
    "Deletion",
    "HoldRegister",
    "Operation",
    "Result",
    "Run",
    "RunSelection",
    "Session",
    "Undeletion",
    "WbgqlError",
    "ago",
    "config",
    "default_settings",
    "load_documents",
    "run",
    "step",
    "summary",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'wbgql' has no attribute {name!r}")
    value = getattr(import_module(f"wbgql.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
