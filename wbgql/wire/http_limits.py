"""Limits on the time and size of HTTP answers. Imports requests: comes in at the first request.

The timeout of requests bounds each wait for a byte: a server that sends a byte now and then is read for ever.
"""

from __future__ import annotations

import http.client
import io
import time
from collections.abc import Iterator
from typing import Any

from requests import Response
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from wbgql.limits import TooSlow

_PIECE = 1 << 20
_REDIRECT_BYTES = 1 << 16


class LimitedAdapter(HTTPAdapter):
    """Connections whose answers, from the first byte of the status on, take at most `seconds`.

    `bytes_s` gives an answer one more second for each `bytes_s` bytes that came; None gives none.
    """

    def __init__(self, seconds: float, bytes_s: float | None = None, **options: Any) -> None:
        class Answer(http.client.HTTPResponse):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self.fp = io.BufferedReader(_Watched(self.fp.detach(), seconds, bytes_s), 1 << 16)

        class Plain(HTTPConnection):
            response_class = Answer

        class Secure(HTTPSConnection):
            response_class = Answer

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self._pools = {"http": PlainPool, "https": SecurePool}
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make the pools of connections through a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


class _Watched(io.RawIOBase):
    """The bytes of one answer as they come, while there is time."""

    def __init__(self, raw: Any, seconds: float, bytes_s: float | None) -> None:
        self._raw = raw
        self._end = time.monotonic() + seconds
        self._bytes_s = bytes_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._end:
            raise TooSlow("the answer took too long")
        count: int | None = self._raw.readinto(buffer)
        if count and self._bytes_s is not None:
            self._end += count / self._bytes_s
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def read_pieces(response: Response) -> Iterator[bytes]:
    """Yield a body, unpacked, in pieces of up to 1 MiB, however much it was packed."""
    while piece := response.raw.read(_PIECE, decode_content=True):
        yield piece


def cut_redirect_body(response: Response, **_options: Any) -> None:
    """Keep the beginning of a redirect's body; a response hook. requests would read all of it, unpacked."""
    if response.is_redirect:
        body = b""
        for piece in read_pieces(response):
            body += piece
            if len(body) > _REDIRECT_BYTES:
                break
        response._content, response._content_consumed = body[:_REDIRECT_BYTES], True  # type: ignore[attr-defined]
