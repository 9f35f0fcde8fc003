"""A pattern that the client evaluates takes time linear in the text, whatever it is."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

SEARCH = """
import sys
from wbgql.patterns import compile_pattern
sys.exit(compile_pattern(sys.argv[1], int(sys.argv[2])).search("a" * 5000 + "!") is not None)
"""


@pytest.mark.parametrize("flags", [0, re.IGNORECASE | re.MULTILINE | re.DOTALL])
@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|aa)+$", "(a*)*b", "([a-z]+)*=", "^(([a-z])+.)+[A-Z]([a-z])+$"]
)
def test_no_pattern_hangs_the_client(pattern: str, flags: int) -> None:
    """Python's engine would take longer than the age of the universe for each of these."""
    done = subprocess.run([sys.executable, "-c", SEARCH, pattern, str(int(flags))], timeout=60, check=False)

    assert done.returncode == 0
