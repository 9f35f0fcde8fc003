"""Serving below a path such as `/wandb`, behind a proxy or without one. No I/O of its own."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class PathPrefix:
    """Makes an application answer below `prefix`, and build its addresses with it.

    A proxy may pass the path on whole or cut the prefix off: both are answered.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            whole = path == self._prefix or path.startswith(f"{self._prefix}/")
            scope = {**scope, "root_path": self._prefix, "path": path if whole else self._prefix + path}
        await self._app(scope, receive, send)
