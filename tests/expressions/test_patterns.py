"""Regular expressions: Python's engine finds what RE2, which servers use, finds."""

from __future__ import annotations

import re

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from wbgql.patterns import compile_pattern, not_in_re2

TEXTS = [
    "",
    "a",
    "alpha\n",
    "Alpha",
    "ßeta 💥",
    "a\tb\\c%_",
    "x.y",
    "ünï-1",
    "٣",
    "\v",
    "[a]",
    "a{,2}",
    "$",
    "K9\nz",
]
PATTERNS = [
    "a$", r"a\z", "^$", "(?m)a$", "(?m)^z$", r"^\w+$", r"^\W", r"\bn", r"\Ba", r"\d", r"\D", r"[\d-]", r"[^\w]",
    r"[\W]", r"[^\W]", r"[\S]", r"[\D]", r"\s", r"[\s]", "[[:alpha:]]", "[^[:alpha:][:space:]]", "[[:punct:]]",
    "a{,2}", "[$]", r"\$", "[]a]", "[^]a]", "(?i)^A", "(?i)ß", "(?P<n>a)", r"[\]a]", r"\\", r"[\\]", "a|$", "[[]",
    "x.y", r"x\.y", "(?s).$", ".*", "[a-c]{2,}", "(a|b)*?$", r"[\w-.]\.", r"[\s-a]", r"[^\s-a]", r"[\d-a]", "[[:blank:]-a]",
    "[[:word:]-.]y", "[[:space:]-a]", "[-[:word:]]", "[^-[:space:]]",
]  # fmt: skip


def found(pattern: str, text: str) -> tuple[bool, bool]:
    """Whether Python and RE2 find the pattern."""
    return compile_pattern(pattern).search(text) is not None, re2.search(pattern, text) is not None


@pytest.mark.parametrize("pattern", PATTERNS)
def test_python_finds_what_re2_finds(pattern: str) -> None:
    for text in TEXTS:
        ours, theirs = found(pattern, text)
        assert ours == theirs, (pattern, text)


PIECES = st.sampled_from(
    ["a", "Z", "ü", "1", "_", "-", " ", ".", "$", "^", r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", r"\b", r"\.", r"\$",
     r"[\w-]", r"[^\d]", "[a-z]", "[^a]", r"[\]]", "(?:a|b)", "a?", "a*", "b+", "c{1,2}", "{,3}", "[[:digit:]]"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    pattern=st.lists(PIECES, min_size=1, max_size=5).map("".join),
    text=st.text(alphabet="aZü1_- .\n$b{,3}٣\v", max_size=8),
)
def test_python_finds_what_re2_finds_in_any_text(pattern: str, text: str) -> None:
    ours, theirs = found(pattern, text)

    assert ours == theirs


@pytest.mark.parametrize(
    "pattern",
    [r"\pL", r"\PN", r"\Qa.b\E", r"[\p{Greek}]", "[[:^alpha:]]", "[[:nope:]]", "(", r"[^]\s", '["-[:word:]]'],
)
def test_what_python_cannot_find_is_refused(pattern: str) -> None:
    with pytest.raises(re.error):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    "pattern", ["(?=a)", "(?!a)", "(?<=a)", "(?<!a)", r"(a)\1", "(?>a)", "a++", r"a\Z", "(?#x)"]
)
def test_what_re2_refuses_is_known(pattern: str) -> None:
    assert not_in_re2(pattern)
    with pytest.raises(re2.error):
        re2.compile(pattern)


@pytest.mark.parametrize("pattern", [*PATTERNS, r"\\1", "a+", "(?:a)"])
def test_what_re2_takes_is_not_blamed(pattern: str) -> None:
    assert not not_in_re2(pattern)
