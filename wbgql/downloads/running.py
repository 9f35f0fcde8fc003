"""Fetches many files at once into a folder: checked, in parallel, none half written, none outside it.

Knows no nouns. A file that is there already and right is not fetched again, so a download that was
broken off goes on where it stopped.
"""

from __future__ import annotations

import errno
import hashlib
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from wbgql.downloads.checking import hex_md5, is_right, safe_path, to_base64
from wbgql.errors import (
    NotFound,
    PartialError,
    PermissionDenied,
    RequestError,
    ResponseError,
    StoreError,
    UsageError,
    WbgqlError,
)
from wbgql.limits import Limits
from wbgql.progress import NoProgress, Progress
from wbgql.wire.retry import RetryPolicy

T = TypeVar("T")

DEFAULT_THREADS = 8
_SHOWN = 5
# Files in hand for each thread: enough that none idles, few enough that their URLs stay fresh.
_WAITING = 4
# What no other file of the same download could do better with.
_HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

State = Literal["downloaded", "present", "reference", "missing", "failed"]
Check = Literal["md5", "size", "nothing"]


class Fetcher(Protocol):
    """Opens URLs to be read in pieces. Several threads use one at the same time."""

    def open(self, url: str) -> AbstractContextManager[Iterator[bytes]]:
        """Return the content of `url`, piece by piece; leaving the context gives the connection back.

        Raises:
            NotFound, PermissionDenied: gone, or the URL has expired; a new URL may work.
            RequestError: one of its kinds; `retryable` ones may be tried again.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One file to fetch. `name` is a relative path with slashes.

    `md5` is base64 (or hex), None where nobody knows it; `reference` is where a file lives that the
    server does not store; such files are reported and not fetched.
    """

    name: str
    url: str | None = None
    size_bytes: int | None = None
    md5: str | None = None
    reference: str | None = None
    renew: Callable[[], str | None] | None = None
    """Asks for a new URL where this one has expired; called once at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOutcome:
    """What became of one file. `present`: it was there and right; `missing`: registered, never uploaded.

    `checked` says against what: `nothing` where the server knows neither digest nor size.
    """

    name: str
    state: State
    path: Path | None = None
    size_bytes: int = 0
    checked: Check = "nothing"
    reference: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Download:
    """All outcomes of one download, in the order the files were asked for."""

    root: Path
    files: tuple[FileOutcome, ...]

    def having(self, state: State) -> tuple[FileOutcome, ...]:
        """The outcomes of one state."""
        return tuple(file for file in self.files if file.state == state)

    @property
    def failed(self) -> tuple[FileOutcome, ...]:
        """Files that are not there, or not right; nothing of them was left behind."""
        return self.having("failed")

    @property
    def references(self) -> tuple[FileOutcome, ...]:
        """Files that live elsewhere and were not fetched."""
        return self.having("reference")

    @property
    def size_bytes(self) -> int:
        """Bytes that were fetched; what was there already is not counted."""
        return sum(file.size_bytes for file in self.having("downloaded"))

    def __str__(self) -> str:
        counts = {state: len(self.having(state)) for state in ("downloaded", "present", "reference")}
        rest = {state: len(self.having(state)) for state in ("missing", "failed")}
        return ", ".join(f"{n} {state}" for state, n in {**counts, **rest}.items() if n) or "no files"


@dataclass(frozen=True, kw_only=True)
class Downloader:
    """Fetches with `threads` at a time; what `policy` allows is tried again.

    `sleep`, `clock` and `uniform` are those of the policy's waits.
    """

    fetcher: Fetcher
    threads: int = DEFAULT_THREADS
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    progress: Progress = field(default_factory=NoProgress)
    sleep: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic
    uniform: Callable[[float, float], float] = random.uniform
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise UsageError(f"threads must be at least 1, not {self.threads!r}")

    def download(self, wanted: Iterable[Wanted], root: Path, *, total: int | None = None) -> Download:
        """Fetch files into `root` and return what became of each.

        `wanted` is read as the work goes on, so URLs in it stay fresh. Each file is written beside its
        place under another name and moved there only when its size and digest are right; a file that
        is there already and wrong is replaced. A name that leads out of `root` (`..`, absolute, through
        a link) is refused.

        Raises:
            PartialError: some files failed; `.done` and `.failed` hold the outcomes. Calling again
                fetches only those.
            StoreError: the folder cannot be written, or the disk is full.
        """
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"folder {str(root)!r} cannot be made: {_reason(error)}") from error
        done = Download(root, tuple(self._run(wanted, root.resolve(), total)))
        if done.failed:
            raise PartialError(
                _failure_message(done),
                done=[one for one in done.files if one.state != "failed"],
                failed=done.failed,
            )
        return done

    def read(self, url: str) -> bytes:
        """Return the content of `url`, tried again as the policy says.

        Raises:
            RequestError: one of its kinds; a ResponseError where it is larger than the limit of an answer.
        """

        def read_once() -> bytes:
            with self.fetcher.open(url) as chunks:
                pieces, size = [], 0
                for chunk in chunks:
                    pieces.append(chunk)
                    size += len(chunk)
                    if size > self.limits.answer_bytes:
                        raise ResponseError(self.limits.too_large("what the URL holds"))
                return b"".join(pieces)

        return self.repeat(read_once)

    def repeat(self, call: Callable[[], T]) -> T:
        """Return what `call` returns, called again after errors that may pass, as the policy says.

        Raises:
            RequestError: the last one, where the policy gives up.
        """
        started, attempt = self.clock(), 1
        while True:
            try:
                return call()
            except RequestError as error:
                delay = self.policy.delay_s(error, attempt, self.clock() - started, self.uniform)
                if delay is None:
                    raise
            self.sleep(delay)
            attempt += 1

    def _run(self, wanted: Iterable[Wanted], root: Path, total: int | None) -> list[FileOutcome]:
        outcomes: dict[int, FileOutcome] = {}
        stop = threading.Event()
        with ThreadPoolExecutor(self.threads, thread_name_prefix="wbgql-download") as pool:
            running: dict[Future[FileOutcome], int] = {}
            try:
                for number, one in enumerate(_each_once(wanted)):
                    running[pool.submit(_Job(self, one, root, stop).run)] = number
                    if len(running) >= self.threads * _WAITING:
                        self._collect(running, outcomes, total)
                while running:
                    self._collect(running, outcomes, total)
            finally:
                stop.set()
                for future in running:
                    future.cancel()
        return [outcomes[number] for number in sorted(outcomes)]

    def _collect(
        self, running: dict[Future[FileOutcome], int], outcomes: dict[int, FileOutcome], total: int | None
    ) -> None:
        """Take in what has ended; wait until something has."""
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            outcomes[running.pop(future)] = future.result()
            self.progress.report(len(outcomes), total)


@dataclass(frozen=True, slots=True)
class _Job:
    """One file on its way; runs in a thread of its own."""

    downloader: Downloader
    wanted: Wanted
    root: Path
    stop: threading.Event

    def run(self) -> FileOutcome:
        """Fetch the file and say what became of it.

        Raises:
            StoreError: nothing can be written here any more.
        """
        wanted = self.wanted
        if wanted.reference is not None:
            return FileOutcome(
                name=wanted.name,
                state="reference",
                reference=wanted.reference,
                size_bytes=wanted.size_bytes or 0,
            )
        try:
            path = safe_path(self.root, wanted.name)
            md5 = hex_md5(wanted.md5)
            if md5 is not None and is_right(path, wanted.size_bytes, md5):
                return self._outcome("present", path, path.stat().st_size)
            return self._outcome("downloaded", path, self._fetch(path, md5))
        except OSError as error:
            if error.errno in _HOPELESS:
                raise StoreError(
                    f"cannot write to {str(self.root)!r}: {_reason(error)}; what was written is whole, "
                    "make room and start again: files that are right are not fetched twice"
                ) from error
            return self._failed(_reason(error))
        except NotFound as error:
            if not wanted.size_bytes and hex_md5(wanted.md5) is None:
                return FileOutcome(name=wanted.name, state="missing")
            return self._failed(str(error))
        except WbgqlError as error:
            return self._failed(str(error))

    def _outcome(self, state: State, path: Path, size_bytes: int) -> FileOutcome:
        checked: Check = "nothing" if self.wanted.size_bytes is None else "size"
        if hex_md5(self.wanted.md5) is not None:
            checked = "md5"
        return FileOutcome(
            name=self.wanted.name, state=state, path=path, size_bytes=size_bytes, checked=checked
        )

    def _failed(self, error: str) -> FileOutcome:
        return FileOutcome(name=self.wanted.name, state="failed", error=error)

    def _fetch(self, path: Path, md5: str | None) -> int:
        """Fetch with repetitions, and once with a new URL. Returns the bytes written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        url = self.wanted.url
        try:
            return self.downloader.repeat(lambda: self._fetch_once(_required(url), path, md5))
        except (NotFound, PermissionDenied):
            if self.wanted.renew is None:
                raise
        renewed = self.wanted.renew()
        return self.downloader.repeat(lambda: self._fetch_once(_required(renewed), path, md5))

    def _fetch_once(self, url: str, path: Path, md5: str | None) -> int:
        # Beside its place, so that moving it there is one step; the name is no longer than any other.
        part = path.with_name(f".wbgql-{secrets.token_hex(8)}.part")
        digest, size = hashlib.md5(usedforsecurity=False), 0
        try:
            with part.open("xb") as file, self.downloader.fetcher.open(url) as chunks:
                for chunk in chunks:
                    self._go_on()
                    digest.update(chunk)
                    size += len(chunk)
                    self._check_room(size)
                    file.write(chunk)
            self._check(size, digest.hexdigest(), md5)
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        return size

    def _go_on(self) -> None:
        if self.stop.is_set():
            raise RequestError("broken off")

    def _check_room(self, size: int) -> None:
        """Stop a file that grows past its size before the disk is full."""
        declared = self.wanted.size_bytes
        if declared is not None and size > declared:
            raise ResponseError(
                f"size mismatch: more came than the {declared} bytes that the server declared; not kept"
            )
        if declared is None and size > self.downloader.limits.download_bytes:
            raise ResponseError(
                f"more than {self.downloader.limits.download_bytes} bytes came, the limit "
                "WBGQL_MAX_DOWNLOAD_BYTES for a file of unknown size; it was not kept"
            )

    def _check(self, size: int, found: str, md5: str | None) -> None:
        if md5 is not None and found != md5:
            raise RequestError(
                f"checksum mismatch: the content's MD5 is {to_base64(found)!r}, the server's record says "
                f"{to_base64(md5)!r}; it was not kept"
            )
        expected = self.wanted.size_bytes
        if expected is not None and size != expected:
            raise RequestError(f"size mismatch: {size} bytes came, {expected} were expected; it was not kept")


def _each_once(wanted: Iterable[Wanted]) -> Iterator[Wanted]:
    """Each name once: two files of one name would write over each other."""
    names: set[str] = set()
    for one in wanted:
        if one.name not in names:
            names.add(one.name)
            yield one


def _required(url: str | None) -> str:
    if url is None:
        raise NotFound("the server gives no URL for it")
    return url


def _failure_message(done: Download) -> str:
    shown = [f"{file.name!r}: {file.error}" for file in done.failed[:_SHOWN]]
    more = len(done.failed) - len(shown)
    rest = f"; and {more} more" if more else ""
    return (
        f"{len(done.failed)} of {len(done.files)} files could not be fetched into {str(done.root)!r}: "
        f"{'; '.join(shown)}{rest}; start again to fetch only those"
    )


def _reason(error: OSError) -> str:
    name = f" ({error.filename})" if error.filename else ""
    return f"{(error.strerror or str(error)).lower()}{name}"
