"""Downloads: checked, none half written, none outside the folder, none fetched twice."""

from __future__ import annotations

import errno
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeClock
from tests.server.artifact_logger import md5
from tests.stored import FakeFetcher
from wbgql.downloads import Downloader, Wanted, safe_path
from wbgql.errors import (
    NotFound,
    PartialError,
    PermissionDenied,
    ServerUnavailable,
    StoreError,
    UsageError,
)


def downloader(contents: dict, **options) -> Downloader:
    clock = FakeClock()
    return Downloader(fetcher=FakeFetcher(contents), sleep=clock.sleep, clock=clock, **options)


def wanted(name: str, content: bytes, **fields) -> Wanted:
    return Wanted(**({"name": name, "url": name, "size_bytes": len(content), "md5": md5(content)} | fields))


def leftovers(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_files_are_written_where_their_names_say(tmp_path):
    contents = {"a.txt": b"one two", "d/e/b.bin": b""}

    done = downloader(contents).download([wanted(name, data) for name, data in contents.items()], tmp_path)

    assert {name: (tmp_path / name).read_bytes() for name in contents} == contents
    assert [(file.name, file.state, file.checked) for file in done.files] == [
        ("a.txt", "downloaded", "md5"),
        ("d/e/b.bin", "downloaded", "md5"),
    ]
    assert done.size_bytes == 7


def test_a_second_download_fetches_only_what_is_not_right(tmp_path):
    contents = {"same": b"same", "other": b"other", "gone": b"gone"}
    files = [wanted(name, data) for name, data in contents.items()]
    downloader(contents).download(files, tmp_path)
    (tmp_path / "other").write_bytes(b"OTHER")
    (tmp_path / "gone").unlink()
    second = downloader(contents)

    done = second.download(files, tmp_path)

    assert sorted(second.fetcher.opened) == ["gone", "other"]
    assert [file.state for file in done.files] == ["present", "downloaded", "downloaded"]
    assert (tmp_path / "other").read_bytes() == b"other"


def test_a_wrong_digest_fails_with_both_digests_and_leaves_nothing(tmp_path):
    with pytest.raises(PartialError) as raised:
        downloader({"bad": b"tampered", "good": b"fine"}).download(
            [wanted("bad", b"original"), wanted("good", b"fine")], tmp_path
        )

    assert md5(b"tampered") in str(raised.value)
    assert md5(b"original") in str(raised.value)
    assert [file.name for file in raised.value.failed] == ["bad"]
    assert [file.name for file in raised.value.done] == ["good"]
    assert leftovers(tmp_path) == ["good"]


def test_a_wrong_content_does_not_replace_the_file_that_is_there(tmp_path):
    (tmp_path / "f").write_bytes(b"older")

    with pytest.raises(PartialError):
        downloader({"f": b"tampered"}).download([wanted("f", b"original")], tmp_path)

    assert (tmp_path / "f").read_bytes() == b"older"


def test_a_wrong_size_fails_where_no_digest_is_known(tmp_path):
    with pytest.raises(PartialError, match="size mismatch: 3 bytes came, 4 were expected"):
        downloader({"f": b"abc"}).download([wanted("f", b"abcd", md5=None)], tmp_path)

    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/evil",
        "a/../../evil",
        "..",
        "",
        ".",
        "a/",
        "C:evil",
        "..\\evil",
        "a\\..\\..\\evil",
        "a\0b",
        "\ud800",
    ],
)
def test_a_name_that_leads_out_is_refused_and_the_others_are_fetched(tmp_path, name):
    root = tmp_path / "to"

    with pytest.raises(PartialError, match="refused") as raised:
        downloader({name: b"x", "ok": b"ok"}).download([wanted(name, b"x"), wanted("ok", b"ok")], root)

    assert [file.name for file in raised.value.failed] == [name]
    assert leftovers(tmp_path) == ["to/ok"]


def test_a_link_that_leads_out_is_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "link").symlink_to(tmp_path / "outside")

    with pytest.raises(PartialError, match="through a link"):
        downloader({"link/f": b"x"}).download([wanted("link/f", b"x")], tmp_path / "to")

    assert leftovers(tmp_path / "outside") == []


def test_a_link_in_the_place_of_a_file_is_replaced_not_written_through(tmp_path):
    (tmp_path / "outside").write_bytes(b"mine")
    root = tmp_path / "to"
    root.mkdir()
    (root / "f").symlink_to(tmp_path / "outside")

    downloader({"f": b"mine"}).download([wanted("f", b"mine")], root)
    downloader({"f": b"new"}).download([wanted("f", b"new")], root)

    assert (tmp_path / "outside").read_bytes() == b"mine"
    assert not (root / "f").is_symlink()


@given(name=st.text(alphabet="ab./\\:\0", max_size=12))
def test_no_accepted_name_leads_out(tmp_path_factory, name):
    root = tmp_path_factory.getbasetemp().resolve()
    try:
        path = safe_path(root, name)
    except UsageError:
        return

    assert path.resolve().is_relative_to(root)
    assert path.resolve() != root


def test_a_passing_error_is_tried_again(tmp_path):
    contents = {"f": [ServerUnavailable("reset"), ServerUnavailable("reset"), b"whole"]}

    done = downloader(contents).download([wanted("f", b"whole")], tmp_path)

    assert done.files[0].state == "downloaded"


def test_an_expired_url_is_asked_for_anew_once(tmp_path):
    asked = []

    def renew() -> str:
        asked.append(1)
        return "fresh"

    contents = {"old": PermissionDenied("expired"), "fresh": b"whole"}
    done = downloader(contents).download([wanted("f", b"whole", url="old", renew=renew)], tmp_path)

    assert (done.files[0].state, len(asked)) == ("downloaded", 1)


def test_references_are_told_of_and_not_fetched(tmp_path):
    one = downloader({})

    done = one.download([Wanted(name="big", reference="s3://bucket/big", size_bytes=9)], tmp_path)

    assert [file.reference for file in done.references] == ["s3://bucket/big"]
    assert one.fetcher.opened == []


def test_a_name_that_was_never_uploaded_is_missing_not_failed(tmp_path):
    done = downloader({"f": NotFound("gone")}).download([wanted("f", b"", md5=None, size_bytes=0)], tmp_path)

    assert [file.state for file in done.files] == ["missing"]


def test_a_full_disk_stops_at_once_and_leaves_nothing_half_written(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StoreError, match="no space left on device"):
        downloader({"f": full}).download([wanted("f", b"x")], tmp_path)

    assert leftovers(tmp_path) == []


def test_a_folder_in_the_place_of_a_file_fails_that_file_alone(tmp_path):
    (tmp_path / "f").mkdir()

    with pytest.raises(PartialError) as raised:
        downloader({"f": b"x", "g": b"y"}).download([wanted("f", b"x"), wanted("g", b"y")], tmp_path)

    assert [file.name for file in raised.value.failed] == ["f"]
    assert leftovers(tmp_path) == ["g"]


def test_progress_is_told_file_by_file(tmp_path):
    told = []

    class Listener:
        def report(self, done: int, total: int | None) -> None:
            told.append((done, total))

    contents = {str(number): b"x" for number in range(3)}
    files = [wanted(name, data) for name, data in contents.items()]
    downloader(contents, progress=Listener()).download(files, tmp_path, total=3)

    assert told == [(1, 3), (2, 3), (3, 3)]


def test_many_files_keep_their_order(tmp_path):
    contents = {f"f{number:03}": str(number).encode() for number in range(200)}

    done = downloader(contents, threads=4).download(
        [wanted(name, data) for name, data in contents.items()], tmp_path
    )

    assert [file.name for file in done.files] == list(contents)


def test_a_digest_in_hex_is_understood(tmp_path):
    done = downloader({"f": b"abc"}).download(
        [wanted("f", b"abc", md5="900150983cd24fb0d6963f7d28e17f72")], tmp_path
    )

    assert done.files[0].checked == "md5"


def test_no_threads_are_refused():
    with pytest.raises(UsageError, match="threads must be at least 1"):
        downloader({}, threads=0)


def test_a_name_that_comes_twice_is_fetched_once(tmp_path):
    one = downloader({"f": b"x"})

    done = one.download([wanted("f", b"x"), wanted("f", b"x")], tmp_path)

    assert (len(done.files), one.fetcher.opened) == (1, ["f"])


def test_a_slow_file_does_not_hold_up_the_others(tmp_path):
    gate, others = threading.Event(), [f"f{number}" for number in range(20)]
    opened: list[str] = []

    class Slow(FakeFetcher):
        @contextmanager
        def open(self, url):
            if url == "slow":
                assert gate.wait(20)
            else:
                opened.append(url)
                if len(opened) == len(others):
                    gate.set()
            yield iter([b"x"])

    files = [wanted(name, b"x") for name in ("slow", *others)]
    done = Downloader(fetcher=Slow({}), threads=2).download(files, tmp_path)

    assert len(done.having("downloaded")) == 21
