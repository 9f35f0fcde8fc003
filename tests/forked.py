"""Calls made in forked processes. Used by tests of what a process must not share with its parent."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import pytest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no process forks here")


def call_forked(call: Callable[[], Any], *, timeout_s: float = 20.0) -> Any:
    """Return what `call` returns in a process forked now; what it raises comes back as "Kind: words"."""
    return call_all_forked([call], timeout_s=timeout_s)[0]


def call_all_forked(calls: list[Callable[[], Any]], *, timeout_s: float = 20.0) -> list[Any]:
    """Make each call in a forked process of its own, all at the same time."""
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(len(calls))
    running = []
    for call in calls:
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=_call, args=(call, there, gate), daemon=True)
        process.start()
        running.append((process, here))
    answers = []
    for process, here in running:
        if not here.poll(timeout_s):
            process.kill()
            pytest.fail(f"the forked process did not answer within {timeout_s:g} s")
        answers.append(here.recv())
        process.join(timeout_s)
    return answers


def _call(call: Callable[[], Any], answer: Connection, gate: Any) -> None:
    gate.wait(20)
    try:
        answer.send(call())
    except Exception as error:  # noqa: BLE001  # the parent shows it
        answer.send(f"{type(error).__name__}: {error}")
