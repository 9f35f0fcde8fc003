"""Standard output in another encoding than UTF-8: what is printed there is what was meant, or an error."""

from __future__ import annotations

import json

import pytest

from tests.cli.answers import one_run, run, runs

LABEL = "größe \U0001d53c"
ONE = run(
    "é1", displayName=LABEL, notes=LABEL, config=json.dumps({"ü": {"value": LABEL}}), summaryMetrics="{}"
)


@pytest.mark.parametrize("charset", ["ascii", "iso-8859-1", "cp1252", "utf-8"])
@pytest.mark.parametrize("format_", ["json", "jsonl"])
def test_json_is_the_same_in_every_encoding(command, charset: str, format_: str) -> None:
    command.charset = charset
    shown = command("runs", "show", "acme/vision/é1", "--format", "json", answers=[one_run(ONE)])
    listed = command(
        "runs", "list", "acme/vision", "--format", format_, answers=[runs(run("é1", displayName=LABEL))]
    )

    one = json.loads(shown.out)
    assert (one["notes"], one["config"]) == (LABEL, {"ü": LABEL})
    (row,) = json.loads(listed.out) if format_ == "json" else listed.rows
    assert (row["path"], row["display_name"]) == ("acme/vision/é1", LABEL)


@pytest.mark.parametrize("charset", ["ascii", "iso-8859-1"])
def test_ids_of_one_encoding_are_read_in_another(command, charset: str) -> None:
    command.charset = charset
    got = command("runs", "list", "acme/vision", "--format", "ids", answers=[runs(run("é1"), run("a"))])

    assert got.out == '"acme/vision/\\u00e91"\nacme/vision/a\n'


@pytest.mark.parametrize("format_", ["csv", "table"])
def test_what_an_encoding_lacks_is_an_error_and_not_another_text(command, format_: str) -> None:
    answer = runs(run("a", displayName=LABEL))
    for charset in ("ascii", "iso-8859-1"):
        command.charset = charset
        got = command("runs", "list", "acme/vision", "--format", format_, answers=[answer])

        assert got.code == 14
        assert "error: standard output is " in got.err
        assert "use --format json or ids" in got.err
        assert LABEL[:2] not in got.out


@pytest.mark.parametrize("format_", ["csv", "table"])
def test_what_an_encoding_has_is_printed_in_it(command, format_: str) -> None:
    command.charset = "iso-8859-1"
    got = command(
        "runs", "list", "acme/vision", "--format", format_, answers=[runs(run("a", displayName="größe"))]
    )

    assert (got.code, "größe" in got.out) == (0, True)
