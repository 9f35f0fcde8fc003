"""HTTP connections whose request heads are limited in size and time."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 2**10
HEAD_S = 20.0

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class LimitedProtocol(HttpToolsProtocol):
    """Close a connection whose request line and headers are larger than 64 KiB or take more than 20 s.

    uvicorn limits neither with httptools; its h11 protocol, used where httptools is not, limits the size.
    """

    _head_bytes = 0
    _in_head = True
    _head_ended = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEAD_S, transport.close)

    def data_received(self, data: bytes) -> None:
        was_in_head = self._in_head
        if was_in_head and self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_S, self.transport.close)
        self._head_ended = False
        super().data_received(data)
        if not was_in_head or self._head_ended:
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._in_head, self._head_ended, self._head_bytes = False, True, 0
        self._forget_deadline()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        super().connection_lost(exc)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
