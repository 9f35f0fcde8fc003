"""Warnings that point at the caller's line, however deep in this package they arise."""

from __future__ import annotations

import os
import sys
import sysconfig
import warnings
from pathlib import Path
from types import FrameType

_PACKAGE = f"{Path(__file__).parent}{os.sep}"
_STANDARD = tuple(
    sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib") if sysconfig.get_path(name)
)
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def warn(warning: str | Warning, category: type[Warning] = UserWarning) -> None:
    """Issue a warning at the first line outside this package and the standard library.

    That is the line of the caller's program also where iterators, threads or `heapq` are in between.
    Where there is no such line (a thread of our own), the warning points at the outermost frame.
    """
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and frame.f_back is not None and _is_ours(frame.f_code.co_filename):
        frame = frame.f_back
        level += 1
    warnings.warn(warning, category, stacklevel=level)


def _is_ours(file: str) -> bool:
    """Whether a frame of `file` says nothing to the caller."""
    if file.startswith(_PACKAGE) or file.startswith("<frozen "):
        return True
    return file.startswith(_STANDARD) and not any(part in file for part in _INSTALLED)
