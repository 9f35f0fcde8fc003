"""Names that anybody may give a run drive neither a terminal nor a spreadsheet."""

from __future__ import annotations

import csv
import io
import sys
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wbgql.cli.main import main
from wbgql.cli.shared.app import App
from wbgql.cli.shared.output import Listing, write_list
from wbgql.frames.writing import _CsvWriter
from wbgql.scalars import FORMULA_PATTERN, is_formula

SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212"
BEFORE = [
    "",
    " ",
    "\t",
    "\r",
    "\n",
    "\ufeff",
    "\u00a0",
    "\u3000",
    "\u200b",
    "\u2060",
    "\x00",
    "\x1f ",
    " \ufeff ",
]
FORMULAS = [f"{before}{sign}cmd|' /C calc'!A0" for before in BEFORE for sign in SIGNS]


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_cell_is_a_formula(formula: str, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    write_list(Listing([formula], columns={formula: lambda item: item}), "csv", target)
    with target.open(encoding="utf-8", newline="") as file:
        printed = [row[0] for row in csv.reader(file)]
    out = io.BytesIO()
    writer = _CsvWriter(out, pa.schema([(formula, pa.string())]))
    writer.write(pa.record_batch([pa.array([formula])], names=[formula]))
    framed = [row[0] for row in csv.reader(io.StringIO(out.getvalue().decode(), newline=""))]

    assert printed == framed == [f"'{formula}", f"'{formula}"]


@given(
    st.lists(
        st.text(st.one_of(st.sampled_from(SIGNS + "a \t\n\ufeff"), st.characters(codec="utf-8"))), min_size=1
    )
)
def test_both_ways_to_find_a_formula_agree(texts: list[str]) -> None:
    # RE2 and Python may know different versions of Unicode.
    texts = [text for text in texts if all(unicodedata.category(char) != "Cn" for char in text)]
    found = pc.match_substring_regex(pa.array(texts, pa.string()), pattern=FORMULA_PATTERN).to_pylist()

    assert found == [is_formula(text) for text in texts]


@pytest.mark.parametrize("text", ["a", "1-2", "a=b", "résumé", "", "名前", "'=1", "#", "-Infinity"])
def test_other_text_stays(text: str, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    write_list(Listing([text, "x"], columns={"name": lambda item: item}), "csv", target)

    assert next(iter(target.read_text(encoding="utf-8").split("\n")[1:])).strip('"') == text


class Screen(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


ESCAPES = [
    "\x1b[2J",
    "\x1b]0;owned\x07",
    "\x9b31m",
    "a\rb",
    "\u202etxt.exe",
    "\x08\x08",
    "\x1b]52;c;cm0=\x07",
    "\u2028",
]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("format_", ["table", "json", "jsonl", "csv", "ids", "text"])
def test_a_terminal_gets_no_escapes(screen: Screen, format_: str, escape: str) -> None:
    listing = Listing([escape], columns={escape: lambda item: item}, key=lambda item: item)
    write_list(listing, format_, None)
    shown = screen.getvalue()

    assert [char for char in shown if not char.isprintable() and char != "\n"] == []


@pytest.mark.parametrize("escape", ESCAPES)
def test_debug_shows_a_traceback_without_escapes(capsys: pytest.CaptureFixture[str], escape: str) -> None:
    class Failing:
        def __call__(self, **_settings: object) -> object:
            raise RuntimeError(escape)

    code = main(["--debug", "whoami"], App(make_client=Failing()))  # type: ignore[arg-type]
    shown = capsys.readouterr().err

    assert (code, "Traceback" in shown) == (1, True)
    assert [char for char in shown if not char.isprintable() and char != "\n"] == []


def test_a_file_keeps_each_character(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    write_list(Listing(["\x1b[2J"], columns={"name": lambda item: item}), "csv", target)

    assert "\x1b[2J" in target.read_text(encoding="utf-8")
