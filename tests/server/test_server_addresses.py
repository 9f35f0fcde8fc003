"""Where a server answers: below a path prefix, for what was uploaded and nothing else, up to a size."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.caller import Caller
from tests.server.test_server_files import create, listed, put
from wbgql.errors import ConfigError
from wbgql.server import RunningServer, ServerSettings, start

LIMIT = 1000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("prefix")
    with start(folder, path_prefix="/some/wandb", max_upload_bytes=LIMIT) as running:
        yield running


@pytest.fixture
def inside(server: RunningServer) -> Caller:
    """Sends with the prefix in the path."""
    caller = Caller(server.base_url, server.api_key)
    caller.upsert("p", name="r1")
    return caller


@pytest.fixture
def stripped(server: RunningServer) -> Caller:
    """Sends what a proxy sends on that has cut the prefix off."""
    return Caller(server.base_url.removesuffix("/some/wandb"), server.api_key)


def test_both_kinds_of_proxies_are_answered_and_addresses_have_the_prefix(server, inside, stripped):
    assert server.base_url.endswith("/some/wandb")
    for caller, name in ((inside, "a.txt"), (stripped, "b.txt")):
        (url,) = create(caller, "p", name)
        assert url.startswith(f"{server.base_url}/storage/")
        assert put(url, name.encode()).status_code == 200
        assert requests.get(listed(caller, "p", names=[name])[0]["url"], timeout=30).text == name
        caller.log("p", "r1", {"_step": 0})


@pytest.mark.parametrize("prefix", ["wandb", "/wandb/", "/a b", "/../x", "//x"])
def test_what_is_no_prefix_is_refused(tmp_path, prefix):
    with pytest.raises(ConfigError, match="path_prefix"):
        ServerSettings(data=tmp_path, path_prefix=prefix)


def in_pieces(size: int) -> Iterator[bytes]:
    """A body without a length in its header."""
    yield from (b"x" for _ in range(size))


@pytest.mark.parametrize("send", [lambda size: b"x" * size, in_pieces], ids=["length", "no length"])
def test_an_upload_over_the_limit_is_refused_and_leaves_nothing(server, inside, send):
    (url,) = create(inside, "p", "large.bin")

    refused = put(url, send(LIMIT + 1))

    assert (refused.status_code, refused.json()["error"]) == (413, f"upload is larger than {LIMIT} bytes")
    assert list((server.data / "blobs" / "incoming").iterdir()) == []
    assert put(url, send(LIMIT)).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/files/admin/p/r1", "/files/admin/p/r1/", "/files/admin/p/", "/files/", "/storage", "/storage/",
        "/artifactsV2/", "/artifactsV2/default/admin/p/", "/blobs/", "/wbgql.sqlite",
        "/files/admin/p/r1/../../../../wbgql.sqlite", "/files/admin/p/r1/%2e%2e/%2e%2e/wbgql.sqlite",
        "/files/admin/p/r1//etc/passwd",
    ],
)  # fmt: skip
def test_no_folder_is_listed_and_no_path_leads_out(server, inside, path):
    address = f"{inside.base_url}{path}"
    # Prepared by hand: `requests` would resolve the dots before it sends.
    prepared = requests.Request("GET", inside.base_url, auth=("api", inside.api_key)).prepare()
    prepared.url = address

    with requests.Session() as session:
        assert session.send(prepared, timeout=30).status_code in (404, 405)


def test_the_name_in_an_upload_address_decides_nothing(server, inside):
    (url,) = create(inside, "p", "plain.txt")
    elsewhere = f"{url.rsplit('/', 1)[0]}/..%2F..%2Fescaped.txt"

    assert put(elsewhere, b"plain").status_code == 200

    assert listed(inside, "p", names=["plain.txt"])[0]["sizeBytes"] == 5
    assert not list(server.data.parent.rglob("escaped*"))
