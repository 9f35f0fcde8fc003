"""What a forked process must not share with its parent: connections, locks and threads. No network."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, overload
from weakref import WeakSet

from wbgql.errors import UsageError

T = TypeVar("T")
V = TypeVar("V")


class Renewable(Protocol):
    """Something that holds a lock, a connection or threads."""

    def after_fork(self) -> None:
        """Replace them in a forked process, which has one thread: the one that forked."""


_renewables: WeakSet[Renewable] = WeakSet()
_inherited: list[object] = []


def renew_after_fork(thing: Renewable) -> None:
    """Call `thing.after_fork()` in every process that is forked from this one, as long as `thing` lives."""
    _renewables.add(thing)


def set_aside(thing: object) -> None:
    """Keep what a forked process inherited, without using or closing it, until the process ends.

    To close it could end the parent's connection, and needs locks that a thread of the parent may have
    held at the fork. What is set aside costs the process its memory and its open files.
    """
    _inherited.append(thing)


def _renew_all() -> None:
    for thing in list(_renewables):
        thing.after_fork()


if hasattr(os, "register_at_fork"):  # where it is missing, no process forks
    os.register_at_fork(after_in_child=_renew_all)


class PerProcess(Generic[T]):
    """A connection that each process opens at its first use there. Threads of a process share it."""

    def __init__(self, open: Callable[[], T], close: Callable[[T], object]) -> None:
        self._open = open
        self._close = close
        self._value: T | None = None
        self._lock = threading.Lock()
        renew_after_fork(self)

    def get(self) -> T:
        """Return this process's connection; open it if there is none."""
        with self._lock:
            if self._value is None:
                self._value = self._open()
            return self._value

    def close(self) -> None:
        """Close it; the next use opens a new one."""
        with self._lock:
            if self._value is not None:
                self._close(self._value)
                self._value = None

    def after_fork(self) -> None:
        """Begin without a connection, and without a lock that another thread may have held."""
        self._lock = threading.Lock()
        if self._value is not None:
            set_aside(self._value)
            self._value = None


class Workers:
    """Threads that work for one iteration. A forked process has none of them and cannot go on with it."""

    def __init__(self, count: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._process = os.getpid()

    def submit(self, call: Callable[..., V], *arguments: Any) -> Future[V]:
        """Have a thread make the call."""
        self._check()
        return self._pool.submit(call, *arguments)

    def wait(self, future: Future[V]) -> V:
        """Return what a call returned, or raise what it raised.

        Raises:
            UsageError: this process was forked from the one whose threads make the call.
        """
        self._check()
        return future.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() == self._process:
            self._pool.shutdown(cancel_futures=True)
        else:
            set_aside(self._pool)

    def _check(self) -> None:
        if os.getpid() != self._process:
            raise UsageError(
                "this iteration began before the process was forked, and its threads are in the parent "
                "process: begin it again in this one"
            )


class lazy(Generic[T]):  # noqa: N801  # used as a decorator, like `cached_property`
    """A property that is made at its first use and then kept, without a lock.

    `functools.cached_property` of Python 3.11 has one lock for all instances, which stays taken in a
    forked process if another thread held it. Threads that come at once may each make the value; all of them
    get the same one.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> T | Self:
        if instance is None:
            return self
        value: T = instance.__dict__.setdefault(self._name, self._make(instance))
        return value
