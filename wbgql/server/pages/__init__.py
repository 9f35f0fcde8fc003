"""Pages for people: what the URLs that the SDK prints show in a browser. They never change anything."""

from __future__ import annotations

from wbgql.server.pages.routes import make_routes

__all__ = ["make_routes"]
