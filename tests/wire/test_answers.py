"""Bodies of answers: split without looking into the data, whatever bytes they are made of."""

from __future__ import annotations

import json
import tracemalloc

import msgspec
import pytest

from wbgql.wire.answers import make_excerpt, split_answer


def test_splitting_does_not_copy_the_data() -> None:
    body = b'{"data":{"name":"' + b"a" * 1_000_000 + b'"}}'

    tracemalloc.start()
    answer = split_answer(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert answer.data is not None
    assert bytes(answer.data) == body[len(b'{"data":') : -1]
    assert (answer.errors, answer.extensions) == (None, None)
    assert peak < 100_000


def test_text_beyond_ascii_comes_as_it_was_sent() -> None:
    body = '{"data":{"name":"größe 漢字"}}'.encode()

    data = split_answer(body).data

    assert data is not None
    assert msgspec.json.decode(data) == {"name": "größe 漢字"}


def test_bytes_that_are_not_utf8_become_the_replacement_character() -> None:
    data = split_answer(b'{"data":{"name":"gr\xf6\xdfe"}}').data

    assert data is not None
    assert msgspec.json.decode(data) == {"name": "gr\ufffd\ufffde"}


def test_a_bare_nan_among_bytes_that_are_not_utf8_is_read_too() -> None:
    data = split_answer(b'{"data":{"name":"\xf6","loss":NaN}}').data

    assert data is not None
    assert msgspec.json.decode(data) == {"name": "\ufffd", "loss": "NaN"}


class Named(msgspec.Struct):
    name: str


@pytest.mark.parametrize(
    "body",
    [b'{"data":{"name":"ada"}}', b' {"extensions":{"a":1},"errors":[],"data":{"name":"ada","more":[1]}}\n'],
)
def test_data_that_fits_is_decoded_on_the_way(body: bytes) -> None:
    assert split_answer(body, Named).data == Named("ada")


def test_what_stands_beside_decoded_data_is_kept() -> None:
    answer = split_answer(b'{"data":{"name":"ada"},"extensions":{"a":1}}', Named)

    assert (answer.errors, answer.extensions) == (None, {"a": 1})


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (b'{"data":{"name":7}}', b'{"name":7}'),
        (b'{"data":{"name":"ada"},"errors":["half"]}', b'{"name":"ada"}'),
        (b'{"error":"half","data":{"name":"ada"}}', b'{"name":"ada"}'),
        (b'{"data":{"name":"ada","loss":NaN}}', b'{"name": "ada", "loss": "NaN"}'),
    ],
)
def test_data_that_does_not_fit_or_has_errors_beside_it_stays_json(body: bytes, left: bytes) -> None:
    answer = split_answer(body, Named)

    assert isinstance(answer.data, msgspec.Raw)
    assert msgspec.json.decode(answer.data) == json.loads(left)


@pytest.mark.parametrize("body", [b'{"data":null}', b'{"errors":["no"]}', b'{"data":null,"errors":["no"]}'])
def test_absent_data_is_none_whatever_was_asked_for(body: bytes) -> None:
    assert split_answer(body, Named).data is None


@pytest.mark.parametrize("body", [b"", b"[1]", b"{}", b'{"data":{"name":"ada"}', b'{"data":{"name":"ada"}}}'])
def test_what_is_no_answer_is_none_of_any_type(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        split_answer(body, Named)


@pytest.mark.parametrize("data", [b"null", b" null ", b"null\n"])
def test_null_data_is_none(data: bytes) -> None:
    assert split_answer(b'{"errors":["no"],"data":' + data + b"}").data is None


@pytest.mark.parametrize(
    "body", [b"", b"[1]", b"{}", b'{"other":1}', b"<html>", b'{"data":', b'{"data":nullx}']
)
def test_what_is_no_graphql_answer_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        split_answer(body)


def test_an_excerpt_is_short_and_on_one_line() -> None:
    assert make_excerpt(b"one\n  two\xff") == "one two\ufffd"
    assert make_excerpt(b"x" * 201) == "x" * 200 + "..."
    assert make_excerpt(b"<title lang=en>Bad\nGateway</title><p>nginx") == "Bad Gateway"
