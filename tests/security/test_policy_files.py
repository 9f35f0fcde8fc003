"""A policy file cannot hang its check, nor end it in a traceback."""

from __future__ import annotations

import time

import pytest

from wbgql.erasure.policies.rules import MAX_FILE_BYTES, parse_policies
from wbgql.errors import UsageError

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
DEEP = 20_000
HOSTILE = {
    "laughs": LAUGHS + "rules: *a11\n",
    "laughs flow": "rules: [&a [x], *a]",
    "endless": "rules: &a\n- *a\n",
    "merge": "base: &b {name: a}\nrules:\n- <<: *b\n",
    "deep flow": "rules: " + "[" * DEEP + "]" * DEEP,
    "deep maps": "rules: " + "{a: " * DEEP + "}" * DEEP,
    "deep block": "rules:\n" + "".join("  " * n + "- \n" for n in range(40)) + "- " * 500 + "x",
    "python tag": "rules: !!python/object/apply:os.system ['touch PWN']",
    "no date": "rules:\n- name: 2001-99-99\n",
    "digits": f"rules:\n- max_runs: {'9' * 10_000}\n",
    "binary": "rules: !!binary '###'",
    "sexagesimal": "rules:\n- max_runs: " + ":".join(["59"] * 3000),
    "nul": "rules: \0",
    "keys": "rules:\n- ? [a, b]\n  : c\n",
    "anchor": "rules: " + "&" + "a" * 10_000 + " x",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_policy_file_is_refused_at_once(name: str) -> None:
    started = time.monotonic()

    with pytest.raises(UsageError):
        parse_policies(HOSTILE[name])

    assert len(HOSTILE[name]) < MAX_FILE_BYTES
    assert time.monotonic() - started < 5


def test_the_error_names_the_line_of_an_alias() -> None:
    with pytest.raises(UsageError, match=r"line 2: write the value out: a policy file has no aliases"):
        parse_policies("rules: &a []\nmore: *a\n")
