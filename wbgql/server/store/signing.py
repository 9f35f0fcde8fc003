"""URLs that authorise themselves: whoever has one may do that one thing until it expires. No I/O."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from itsdangerous import BadData, URLSafeTimedSerializer

from wbgql.errors import PermissionDenied

_LINE_ENDS = re.compile(r"[\r\n]")
"""In a name they would keep the route from matching."""


class Signer:
    """Makes and reads the tokens in storage URLs. wandb-core sends no credentials with an upload.

    Source: wandb SDK 0.31.0 `core/internal/filetransfer` (seen on the wire 2026-11).
    """

    def __init__(self, secret: bytes, *, upload_ttl_s: float, download_ttl_s: float) -> None:
        self._serializers = {
            "PUT": (URLSafeTimedSerializer(secret, salt="put"), upload_ttl_s),
            "GET": (URLSafeTimedSerializer(secret, salt="get"), download_ttl_s),
        }

    def url(self, base_url: str, method: str, kind: str, value: Any, *, name: str = "") -> str:
        """An absolute URL for one `method` on one thing. `name` only makes it readable; it is not trusted."""
        token = self._serializers[method][0].dumps([kind, value])
        return f"{base_url}/storage/{token}/{quote(_LINE_ENDS.sub('_', name))}"

    def read(self, method: str, token: str) -> tuple[str, Any]:
        """The kind and value a URL was made for.

        Raises:
            PermissionDenied: forged, for another method, or expired.
        """
        serializer, ttl_s = self._serializers[method]
        try:
            kind, value = serializer.loads(token, max_age=int(ttl_s))
        except BadData as error:
            raise PermissionDenied("the URL is not valid or has expired", status=403) from error
        return str(kind), value
