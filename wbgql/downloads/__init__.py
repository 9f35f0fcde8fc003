"""Fetches many files at once into a folder: checked, in parallel, none half written, none outside it."""

from __future__ import annotations

from wbgql.downloads.checking import safe_path
from wbgql.downloads.running import (
    DEFAULT_THREADS,
    Download,
    Downloader,
    Fetcher,
    FileOutcome,
    Wanted,
)

__all__ = [
    "DEFAULT_THREADS",
    "Download",
    "Downloader",
    "Fetcher",
    "FileOutcome",
    "Wanted",
    "safe_path",
]
