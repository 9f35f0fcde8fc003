"""The facade users hold: one object, the nouns behind it."""

from __future__ import annotations

from wbgql.client.facade import Client
from wbgql.client.operations import OPERATIONS

__all__ = ["Client", "OPERATIONS"]
