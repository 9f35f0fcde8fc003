"""One hash over many items: a Merkle tree hash, so that each item is bound and none has to be shown. No I/O.

Source: RFC 6962, 2.1 (2013): a leaf is hashed behind a 0 byte, a pair of nodes behind a 1, so that neither
can pass for the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def merkle_root(leaves: Iterable[bytes]) -> str:
    """Return `sha256:` and 64 hex digits over the leaves in their order. Streams; memory grows by log n."""
    # Whole subtrees from left to right, each larger than the next: (number of leaves, hash).
    subtrees: list[tuple[int, bytes]] = []
    for leaf in leaves:
        size, node = 1, _sha256(b"\x00" + leaf)
        while subtrees and subtrees[-1][0] == size:
            node = _sha256(b"\x01" + subtrees.pop()[1] + node)
            size *= 2
        subtrees.append((size, node))
    return f"sha256:{_join(subtrees).hex()}"


def _join(subtrees: list[tuple[int, bytes]]) -> bytes:
    if not subtrees:
        return _sha256(b"")
    _, node = subtrees[-1]
    for _, left in reversed(subtrees[:-1]):
        node = _sha256(b"\x01" + left + node)
    return node


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
