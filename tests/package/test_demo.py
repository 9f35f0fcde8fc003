"""The demo, small: the whole story with the real SDK, as `make demo` tells it."""

from __future__ import annotations

import pytest

from wbgql.demo import run_demo


@pytest.mark.sdk
def test_the_story_comes_out_as_told() -> None:
    said: list[str] = []

    run_demo(said.append, runs=40)

    text = "\n".join(said)
    for claim in (
        "40 runs on the server",
        "both gave the same ids and numbers",
        'did you mean summary["val/acc"]?',
        "held by H1 (run, CASE-17)",
        "a purge today removes 0 runs",
        "found nowhere",
        "an id is never used twice",
        "Nothing is left running",
        "Now try it yourself",
        "wbgql server --data ./store",
    ):
        assert claim in text, text
