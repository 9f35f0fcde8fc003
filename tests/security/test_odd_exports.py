"""Odd runs in files: each value that comes back out of CSV, JSON lines and Parquet is the one that is meant."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import wbgql as wb
from tests.caller import Caller
from tests.cli.conftest import Outcome
from tests.cli.real_command import RealCommand
from wbgql.server import RunningServer

FORMATS = ["csv", "jsonl", "parquet"]
DEEP = '{"a":' * 60 + "1" + "}" * 60
TEXTS = {
    "formula": "=1+1",
    "wide": "\uff1dcmd|' /C calc'!A0",
    "wide-plus": "\uff0b1",
    "mark": "\ufeff=1",
    "blank": " \u3000@x",
    "tab": "\t-1",
    "nul": "a\0b",
    "escape": "\x1b]0;x\x07\x1b[31m",
    "lines": 'a\r\nb,"c"\n',
    "turned": "\u202eabc",
    "half": "\ud800x",
    "plain": "résumé",
}
NUMBERS = {
    "nan": "NaN",
    "inf": "Infinity",
    "minus-inf": "-Infinity",
    "text-nan": '"NaN"',
    "huge": str(2**70),
    "endless": "9" * 400,
    "minus-endless": "-" + "9" * 400,
    "beyond": str(2**53 + 1),
    "large": "1e308",
    "small": "5e-324",
    "minus-zero": "-0.0",
}
JSONS = {
    "deep": DEEP,
    "list": '[NaN, -Infinity, 1e999, "=1", "\\udc00", 18446744073709551617]',
    "half-key": '{"\\udc00": null}',
}


def is_formula(text: str) -> bool:
    """Whether a spreadsheet could take a cell for a formula, said here without the library."""
    return text.strip(" \t\r\n\0\ufeff\u3000")[:1] in tuple("=+-@\uff1d\uff0b\uff0d\uff20")


def framed(text: str) -> str:
    return text.replace("\ud800", "?").replace("\udc00", "?")


@pytest.fixture(scope="module")
def server(local_server: RunningServer) -> RunningServer:
    """A project `odd-files` with one run for each value, in its config, its summary and its history."""
    caller = Caller(local_server.base_url, local_server.api_key)

    def upsert(name: str, key: str, value: str, **fields: Any) -> None:
        config = f'{{"{key}":{{"value":{value}}},"=k":{{"value":1}},"\\ud801":{{"value":2}}}}'
        caller.upsert("odd-files", name=name, config=config, summaryMetrics=f'{{"{key}":{value}}}', **fields)
        row = f'{{"_step":0,"{key}":{value}}}'
        files = {"wandb-history.jsonl": {"offset": 0, "content": [row]}}
        assert caller.stream("odd-files", name, files=files).status_code == 200

    for name, text in TEXTS.items():
        said = {"notes": text, "tags": [text], "displayName": text} if name != "half" else {}
        upsert(name, "text", json.dumps(text), **said)
    for name, number in NUMBERS.items():
        upsert(name, "number", number)
    for name, value in JSONS.items():
        upsert(name, "json", value)
    upsert("=run", "text", '"x"')
    return local_server


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[wb.Client]:
    with wb.Client(base_url=server.base_url, api_key=server.api_key, entity="admin") as found:
        yield found


def read(file: Path) -> list[dict[str, Any]]:
    if file.suffix == ".parquet":
        return list(pq.read_table(file).to_pylist())
    text = file.read_bytes().decode()
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in text.split("\n")[:-1]]
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture(scope="module", params=[(way, format_) for way in ("file", "export") for format_ in FORMATS])
def exported(
    request: pytest.FixtureRequest, client: wb.Client, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, dict[str, Any]]]:
    """The format, and the rows that were read back, by run."""
    way, format_ = request.param
    folder = tmp_path_factory.mktemp("files")
    file = folder / f"runs.{format_}"
    if way == "file":
        getattr(client.runs("admin/odd-files", select="*"), f"to_{format_}")(file)
    else:
        (file,) = client.export_runs("admin/odd-files", to=folder / "to", select="*", format=format_).files
    return format_, {row["id"]: row for row in read(file)}


def test_every_run_has_one_row(exported: tuple[str, dict[str, Any]]) -> None:
    format_, rows = exported
    last = "'=run" if format_ == "csv" else "=run"
    assert set(rows) == {*TEXTS, *NUMBERS, *JSONS, last}


def test_texts_come_back_and_start_no_formula(exported: tuple[str, dict[str, Any]]) -> None:
    format_, rows = exported
    for name, text in TEXTS.items():
        row = rows[name]
        cell = f"'{framed(text)}" if format_ == "csv" and is_formula(text) else framed(text)
        assert (row["config.text"], row["summary.text"]) == (cell, cell), name
        if name != "half":
            assert (row["notes"], row["display_name"]) == (cell, cell), name
            tags = json.loads(row["tags"]) if format_ == "csv" else row["tags"]
            assert tags == [text], name
    if format_ == "csv":
        assert not [
            cell for row in rows.values() for cell in row.values() if is_formula(cell) and not is_number(cell)
        ]
        assert not [name for row in rows.values() for name in row if is_formula(name)]


def is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell)) or cell == "-Infinity"
    except ValueError:
        return False


def test_numbers_come_back_as_the_nearest_float(exported: tuple[str, dict[str, Any]]) -> None:
    format_, rows = exported
    meant = {
        "nan": math.nan,
        "inf": math.inf,
        "minus-inf": -math.inf,
        "text-nan": math.nan,
        "huge": float(2**70),
        "endless": math.inf,
        "minus-endless": -math.inf,
        "beyond": float(2**53),
        "large": 1e308,
        "small": 5e-324,
        "minus-zero": -0.0,
    }
    for name, number in meant.items():
        for column in ("config.number", "summary.number"):
            value = rows[name][column]
            if format_ != "parquet" and not math.isfinite(number):
                assert value == {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(number)], name
            assert repr(float(value)) == repr(number), name


def test_objects_and_lists_come_back_as_json(exported: tuple[str, dict[str, Any]]) -> None:
    format_, rows = exported
    meant = {
        "deep": json.loads(DEEP),
        "list": ["NaN", "-Infinity", "Infinity", "=1", "?", 2**64 + 1],
        "half-key": {"?": None},
    }
    for name, value in meant.items():
        for column in ("config.json", "summary.json"):
            found = rows[name][column]
            assert (found if format_ == "jsonl" else json.loads(found)) == value, name


def test_keys_that_no_file_can_hold_are_spelt_out(exported: tuple[str, dict[str, Any]]) -> None:
    _, rows = exported
    assert {float(row["config.=k"]) for row in rows.values()} == {1.0}
    assert {float(row["config.\\ud801"]) for row in rows.values()} == {2.0}


@pytest.mark.parametrize("format_", FORMATS)
def test_histories_hold_the_same_values(server: RunningServer, tmp_path: Path, format_: str) -> None:
    file = tmp_path / f"rows.{format_}"
    command = RealCommand(server, tmp_path)
    keys = [arg for key in ("text", "number", "json") for arg in ("--key", key)]
    done: Outcome = command(
        "history", "admin/odd-files", "--all", *keys, "--format", format_, "-o", str(file)
    )
    rows = {row["run_id"].lstrip("'"): row for row in read(file)}

    assert done.code == 0, done.err
    assert set(rows) == {*TEXTS, *NUMBERS, *JSONS, "=run"}
    meant = {"nan": math.nan, "huge": float(2**70), "large": 1e308, "minus-zero": -0.0, "inf": math.inf}
    for name, number in meant.items():
        assert repr(float(rows[name]["number"])) == repr(number), name
    if format_ == "parquet":
        assert "values that are no numbers are null: 'text' (13), 'json' (3)" in done.err
        return
    for name, text in TEXTS.items():
        cell = f"'{text}" if format_ == "csv" and is_formula(text) else text
        assert rows[name]["text"] == (cell.replace("\ud800", "\\ud800") if format_ == "csv" else cell), name
    deep = rows["deep"]["json"]
    assert (json.loads(deep) if isinstance(deep, str) else deep) == json.loads(DEEP)
