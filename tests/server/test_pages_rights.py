"""To whom pages show what, that nothing a user wrote is taken for a part of them, and where they lead."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

import pytest

from tests.caller import Caller
from tests.server.html_pages import HOSTILE, PNG, Page, admin_of, fill, runs_page, with_key
from wbgql.server import add_team, add_user


@pytest.fixture
def visitor(local_server):
    """The admin, who owns the world's project."""
    return admin_of(local_server)


@pytest.fixture
def someone(local_server):
    """Makes further users: `(name, what they see as pages, what they ask as GraphQL)`."""

    def make():
        name = f"user-{secrets.token_hex(3)}"
        caller = Caller(local_server.base_url, add_user(local_server.data, name))
        return name, with_key(caller.base_url, caller.api_key), caller

    return make


def test_artifacts_lead_from_run_to_version_to_run(world, visitor):
    maker, user = world.run("maker"), world.run("user")
    first = world.log(
        "net", {"w.bin": b"one"}, runName="maker", metadata={"acc": {"top1": 0.9}}, tags=["good"]
    )
    world.log("net", {"w.bin": b"two"}, runName="maker")
    world.use(first, "user")

    logged = visitor.open(f"/{world.path}/runs/{maker.run_id}/artifacts")
    assert [row[0] for row in logged.rows()] == ["net:v1", "net:v0"]
    listed = visitor.open(f"/{world.path}/artifacts")
    assert listed.rows()[0][:4] == ["net", "dataset", "2", "v1"]

    kind = "dataset"
    version = visitor.open(f"/{world.path}/artifacts/{kind}/net/v0")
    assert {"acc.top1", "Digest"} <= {one.text.strip() for one in version.all("dt")}
    assert f"/{world.path}/runs/{user.run_id}" in [urlsplit(one).path for one in version.links()]
    (file,) = [one for one in version.links() if "file=w.bin" in one]
    assert visitor.fetch(file).content == b"one"
    assert "latest" in visitor.open(f"/{world.path}/artifacts/{kind}/net/latest").text
    assert [row[0] for row in visitor.open(f"/{world.path}/artifacts/{kind}/net").rows()] == [
        "net:v1",
        "net:v0",
    ]
    for missing in (
        "nope",
        f"{kind}/nope",
        f"{kind}/net/v9",
        f"{kind}/net/v0?file=nope",
    ):
        visitor.open(f"/{world.path}/artifacts/{missing}", 404)


def test_what_graphql_answers_null_for_is_not_found(world, visitor, someone):
    world.run("r0")
    world.store("r0", {"secret.txt": b"x"})
    world.log("net", {"w.bin": b"one"}, runName="r0")
    _, stranger, caller = someone()
    addresses = [
        f"/{world.path}",
        f"/{world.path}/deleted",
        f"/{world.path}/artifacts",
        f"/{world.path}/artifacts/model/net/v0",
        f"/{world.path}/runs/r0",
        *(
            f"/{world.path}/runs/r0/{tab}"
            for tab in ("system", "logs", "files", "artifacts", "file?name=secret.txt")
        ),
    ]

    assert caller.run(world.project, "r0") is None
    missing = stranger.open("/admin/no-such-project", 404).text.replace("no-such-project", world.project)
    for address in addresses:
        page = stranger.open(address, 404)
        assert page.text == missing, "a project that is not visible looks as one that is not there"
    stranger.open("/admin", 404)
    assert world.project not in stranger.open("/").text


def test_deleted_runs_are_shown_to_those_who_may_restore_them(local_server, visitor, someone):
    team = f"team-{secrets.token_hex(3)}"
    (owner, owners, asks), (member, members, _), (viewer, viewers, _) = someone(), someone(), someone()
    for name, role in ((owner, "member"), (member, "member"), (viewer, "viewer")):
        add_team(local_server.data, team, member=name, role=role)
    made = asks.upsert("p", entityName=team, name="gone", displayName="the <gone>")["bucket"]
    asks.ask("mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }", id=made["id"])

    for page in (owners.open(f"/{team}/p/deleted"), visitor.open(f"/{team}/p/deleted")):
        (row,) = page.rows()
        assert row[0] == "the <gone> gone"
        assert row[3] == "just now"
        assert row[4].startswith("in 7 d ")
    assert members.open(f"/{team}/p/deleted").rows() == []
    viewers.open(f"/{team}/p/deleted", 404)
    assert "Deleted" not in viewers.open(f"/{team}/p").text

    assert "wbgql runs undelete" in owners.open(f"/{team}/p/runs/gone", 404).text
    gone, never = (members.open(f"/{team}/p/runs/{name}", 404).text for name in ("gone", "never"))
    assert gone == never.replace("never", "gone"), "who may not restore it cannot tell that it ever was"
    assert owners.open(f"/{team}/p").rows() == []


# ---- hostile names, and every page ----


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_wherever_they_stand(world, visitor, name):
    run = {"displayName": name, "notes": name, "tags": [name], "groupName": name, "jobType": name}
    world.caller.upsert(
        world.project,
        name="r0",
        **run,
        config={name: {"value": name}, "k": {"value": [name]}},
        summaryMetrics={name: 1.0, "text": name, "img": {"_type": "image-file", "path": name}},
    )
    world.caller.log(world.project, "r0", {"_step": 0, name: 1.0, f"{name}/x": 2.0})
    world.caller.stream(world.project, "r0", files={"output.log": {"content": [name]}})
    world.store("r0", {name.replace("/", "|"): b"x"})
    bases = [
        f"/{world.path}/runs/r0",
        *(f"/{world.path}/runs/r0/{tab}" for tab in ("logs", "files", "system")),
    ]

    addresses = (*bases, f"/{world.path}", runs_page(world.path, where=name, order=name, select=name))
    for address in addresses:
        page = visitor.open(address, 400 if "where=" in address else 200)
        assert_shut(page)
        assert any(name in one.text or name in (one.attributes.get("value") or "") for one in page.elements)
    (heading,) = visitor.open(bases[0]).all("h1")
    assert " ".join(heading.text.split()) == " ".join(f"{name} running".split())


def assert_shut(page: Page) -> None:
    """Nothing on a page that we did not put there, nothing that runs but our script, no address elsewhere."""
    assert {one.tag for one in page.elements} <= OUR_TAGS
    for one in page.elements:
        assert not [key for key in one.attributes if key == "style" or key.startswith("on")]
        if one.tag == "script":
            assert one.text == ""
    for address in page.addresses():
        assert address[0] in "/?", address
        assert not address.startswith("//"), address


OUR_TAGS = {
    *("html", "head", "meta", "title", "link", "script", "body", "header", "main", "nav", "section", "aside"),
    *("a", "img", "span", "bdi", "h1", "h2", "h3", "p", "pre", "code", "dl", "div", "dt", "dd", "ul", "li"),
    *("form", "input", "button", "details", "summary", "label", "select", "option", "time", "output"),
    *(
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "figure",
        "figcaption",
        "svg",
        "path",
        "text",
        "g",
        "circle",
    ),
}


def test_every_link_on_every_page_leads_somewhere(world, visitor):
    fill(world, 2)
    world.caller.log(world.project, "r0", *[{"_step": n, "loss": n} for n in range(3)])
    world.store("r0", {"media/a.png": PNG})
    world.use(world.log("net", {"w.bin": b"one"}, runName="r0"), "r1")
    world.run("gone")
    world.delete_run("gone")
    waiting, seen = [f"/{world.path}"], set()

    while waiting:
        address = waiting.pop()
        split = urlsplit(address)
        path = f"{split.path}?{split.query}" if split.query else split.path
        if path in seen or not split.path.startswith(f"/{world.path}") or split.query.count("=") > 2:
            continue
        seen.add(path)
        if split.path.endswith("/file") or "file=" in split.query:
            assert visitor.fetch(path).status_code == 200, path
            continue
        waiting += visitor.open(path).links()

    ends = {urlsplit(path).path.rsplit("/", 1)[-1] for path in seen}
    assert ends >= {"r0", "system", "logs", "files", "file", "artifacts", "net", "v0", "deleted"}
