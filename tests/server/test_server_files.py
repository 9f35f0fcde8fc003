"""Files of runs: registered, uploaded without a key, downloaded, deleted."""

from __future__ import annotations

import pytest
import requests

from tests.caller import Caller, new_project

CREATE = """
mutation Create($input: CreateRunFilesInput!) {
  createRunFiles(input: $input) { runID uploadHeaders files { name uploadUrl } }
}
"""
FILES = """
query Files($project: String, $names: [String], $pattern: String, $first: Int, $after: String) {
  project(entityName: "admin", name: $project) { run(name: "r1") {
    fileCount
    files(names: $names, pattern: $pattern, first: $first, after: $after) {
      totalCount
      edges { cursor node { id name sizeBytes md5 mimetype updatedAt exists directUrl url upload: url(upload: true) } }
      pageInfo { hasNextPage }
    }
  } }
}
"""


@pytest.fixture
def project(caller) -> str:
    """A project with one fresh run, r1."""
    name = new_project()
    caller.upsert(name, name="r1")
    return name


def create(caller: Caller, project: str, *names: str) -> list[str]:
    """Register files; return their upload URLs."""
    given = {"entityName": "admin", "projectName": project, "runName": "r1", "files": names}
    return [file["uploadUrl"] for file in caller.ask(CREATE, input=given)["createRunFiles"]["files"]]


def put(url: str, content: bytes) -> requests.Response:
    return requests.put(url, data=content, timeout=30)


def listed(caller: Caller, project: str, **variables: object) -> list[dict]:
    found = caller.ask(FILES, project=project, **variables)["project"]["run"]["files"]["edges"]
    return [edge["node"] for edge in found]


def test_an_upload_needs_no_key_and_can_be_read_back(caller, project):
    (url,) = create(caller, project, "dir/a b#é.txt")

    assert put(url, b"content").status_code == 200

    (file,) = listed(caller, project, names=["./dir/a b#é.txt"])
    assert (file["name"], file["sizeBytes"], file["mimetype"]) == ("dir/a b#é.txt", 7, "text/plain")
    assert requests.get(file["directUrl"], timeout=30).content == b"content"
    address = f"{caller.base_url}/files/admin/{project}/r1/dir/a%20b%23%C3%A9.txt"
    assert requests.get(address, auth=("api", caller.api_key), timeout=30).content == b"content"
    assert requests.get(address, timeout=30).status_code == 401


@pytest.mark.parametrize("name", ["two\nlines.txt", "%2e%2e/x", "a\\..\\b", "what?#"])
def test_an_odd_name_can_be_uploaded_and_read_back(caller, project, name):
    (url,) = create(caller, project, name)

    assert put(url, b"content").status_code == 200

    (file,) = listed(caller, project)
    assert (file["name"], requests.get(file["directUrl"], timeout=30).content) == (name, b"content")


def test_a_registered_file_is_hidden_until_it_is_uploaded(caller, project):
    create(caller, project, "later.txt")

    assert listed(caller, project) == []


def test_an_empty_file_is_a_file(caller, project):
    (url,) = create(caller, project, "empty")

    put(url, b"")

    assert listed(caller, project)[0]["sizeBytes"] == 0


def test_a_second_upload_replaces_the_first(caller, project, local_server):
    for content in (b"first content", b"second"):
        (url,) = create(caller, project, "output.log")
        put(url, content)

    (file,) = listed(caller, project)
    assert requests.get(file["url"], timeout=30).content == b"second"
    stored = [path.read_bytes() for path in (local_server.data / "blobs").rglob("*") if path.is_file()]
    assert b"first content" not in stored


def test_a_part_of_a_file_can_be_read(caller, project):
    (url,) = create(caller, project, "big")
    put(url, b"0123456789")
    (file,) = listed(caller, project)

    answer = requests.get(file["directUrl"], headers={"Range": "bytes=2-4"}, timeout=30)

    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (
        206,
        b"234",
        "bytes 2-4/10",
    )


def test_files_come_in_pages_and_by_pattern(caller, project):
    for name, url in zip("abc", create(caller, project, "a.txt", "b.txt", "c.json"), strict=True):
        put(url, name.encode())

    first = caller.ask(FILES, project=project, first=2)["project"]["run"]
    rest = listed(caller, project, first=2, after=first["files"]["edges"][-1]["cursor"])

    assert first["fileCount"] == first["files"]["totalCount"] == 3
    assert first["files"]["pageInfo"] == {"hasNextPage": True}
    assert [file["name"] for file in rest] == ["c.json"]
    assert [file["name"] for file in listed(caller, project, pattern="%.json")] == ["c.json"]
    assert [file["name"] for file in listed(caller, project, names=["b.txt"])] == ["b.txt"]


def test_a_name_that_is_not_there_is_answered_with_an_empty_file_that_cannot_be_downloaded(caller, project):
    there, _ = create(caller, project, "there.txt", "registered.txt")
    put(there, b"x")

    found = listed(caller, project, names=["registered.txt", "there.txt", "nowhere.txt"])

    told = [(file["name"], file["sizeBytes"], file["md5"] == "0", file["exists"]) for file in found]
    assert told == [
        ("registered.txt", 0, True, False),
        ("there.txt", 1, False, True),
        ("nowhere.txt", 0, True, False),
    ]
    assert [file["updatedAt"] is None for file in found] == [True, False, True]
    codes = [requests.get(file["directUrl"], timeout=30).status_code for file in found]
    assert codes == [404, 200, 404]
    assert [file["name"] for file in listed(caller, project)] == ["there.txt"]


def test_named_files_come_in_pages_too(caller, project):
    names = ["c", "a", "b"]

    first = caller.ask(FILES, project=project, names=names, first=2)["project"]["run"]["files"]
    rest = listed(caller, project, names=names, first=2, after=first["edges"][-1]["cursor"])

    assert [edge["node"]["name"] for edge in first["edges"]] == ["c", "a"]
    assert (first["totalCount"], first["pageInfo"]) == (3, {"hasNextPage": True})
    assert [file["name"] for file in rest] == ["b"]


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", "a\0b"])
def test_names_that_lead_elsewhere_are_refused(caller, project, name):
    given = {"entityName": "admin", "projectName": project, "runName": "r1", "files": [name]}

    assert caller.post(CREATE, input=given).status_code == 400


def test_an_upload_url_is_good_for_nothing_else(caller, project):
    (url,) = create(caller, project, "a.txt")
    put(url, b"x")
    (file,) = listed(caller, project)

    assert requests.get(url, timeout=30).status_code == 403
    assert put(file["directUrl"], b"y").status_code == 403
    token = url.split("/storage/")[1].split("/")[0]
    assert put(url.replace(token, token[:-2] + "xx"), b"y").status_code == 403
    assert requests.get(file["directUrl"], timeout=30).content == b"x"


def test_deleted_files_are_gone_with_their_content(caller, project, local_server):
    (url,) = create(caller, project, "secret.txt")
    put(url, b"canary-of-a-deleted-file")
    (file,) = listed(caller, project)
    document = "mutation D($input: DeleteFilesInput!) { deleteFiles(input: $input) { success } }"

    for _ in range(2):
        assert caller.ask(document, input={"files": [file["id"]]}) == {"deleteFiles": {"success": True}}

    assert listed(caller, project) == []
    assert requests.get(file["directUrl"], timeout=30).status_code == 404
    assert put(url, b"again").status_code == 410
    stored = [path.read_bytes() for path in (local_server.data / "blobs").rglob("*") if path.is_file()]
    assert b"canary-of-a-deleted-file" not in stored
    assert b"again" not in stored


def test_addresses_follow_the_host_that_was_asked(caller, project):
    other = Caller(caller.base_url.replace("127.0.0.1", "localhost"), caller.api_key)

    (url,) = create(other, project, "a.txt")

    assert url.startswith(f"{other.base_url}/storage/")
