"""Templates to HTML, and the headers every page has."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from wbgql.server.pages import formatting

_HERE = Path(__file__).parent
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_YEAR_S = 365 * 86400

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Renderer:
    """The templates, and the files that they name. Everything user-made is escaped on its way in."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            number=formatting.number,
            size=formatting.size,
            duration=formatting.duration,
            instant=formatting.instant,
            ago=formatting.ago,
            plain=formatting.plain,
        )
        self._files = {path.name: path.read_bytes() for path in sorted((_HERE / "static").iterdir())}
        self.version = hashlib.sha256(b"\0".join(self._files.values())).hexdigest()[:12]

    def page(self, template: str, values: dict[str, Any], status: int = 200) -> Response:
        """A page as an answer."""
        text = self._templates.get_template(template).render(values)
        # A name may hold half a surrogate pair, which has no bytes in UTF-8.
        return HTMLResponse(text.encode(errors="replace"), status, headers=HEADERS)

    def static(self, name: str) -> Response | None:
        """A style sheet, script or icon; None where there is no such file. Its address changes with it."""
        content = self._files.get(name)
        if content is None:
            return None
        headers = HEADERS | {"Cache-Control": f"public, max-age={_YEAR_S}, immutable"}
        return Response(content, headers=headers, media_type=_TYPES[Path(name).suffix])
