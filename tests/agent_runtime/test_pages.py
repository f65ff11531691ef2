"""The page's files: what they may load, and that a person can find their way through them."""

import re
from html.parser import HTMLParser

import pytest

from agent_runtime.http.pages import ASSETS, GUARDS, POLICY
from cutover.gateway import views

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Outline(HTMLParser):
    """Elements with their attributes, and whether a script stands inside the page."""

    def __init__(self, text):
        super().__init__()
        self.found, self.inline, self._open = [], "", ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self._open = tag

    def handle_data(self, data):
        if self._open in {"script", "style"}:
            self.inline += data.strip()

    def handle_endtag(self, tag):
        self._open = ""

    def having(self, name):
        return {attributes[name] for _, attributes in self.found if name in attributes}


@pytest.mark.parametrize("path", ASSETS)
async def test_each_file_is_served_guarded_and_anew(bare, path):
    answer = await bare.client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, ASSETS[path][1])
    assert {name: answer.headers[name] for name in GUARDS} == GUARDS
    assert answer.headers["cache-control"] == "no-cache"


async def test_the_page_needs_nothing_that_the_policy_forbids(bare):
    page = Outline((await bare.client.get("/app")).text)
    assert page.inline == ""
    assert page.having("style") == set()
    assert [name for _, one in page.found for name in one if name.startswith("on")] == []
    assert page.having("href") | page.having("src") == {"data:,", "/app/style.css", "/app/app.js"}
    assert "unsafe" not in POLICY


async def test_every_field_has_its_label_and_every_mention_its_element(bare):
    page = Outline((await bare.client.get("/app")).text)
    fields = {one["id"] for tag, one in page.found if tag == "input"}
    assert page.having("for") == fields
    mentioned = page.having("aria-labelledby") | page.having("aria-describedby")
    assert mentioned <= page.having("id")
    assert page.having("lang") == {"en"}
    script = (await bare.client.get("/app/app.js")).text
    assert set(re.findall(r'part\("([\w-]+)"\)', script)) <= page.having("id")


async def test_the_script_makes_no_markup_of_anything(bare):
    script = (await bare.client.get("/app/app.js")).text
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function", script
    )
    assert not re.search(r"localStorage|sessionStorage|cookie", script), "a key is not kept"


async def test_the_gateway_guards_pages_as_the_plane_does():
    """Two programs that import nothing of each other say the same to a browser."""
    told = dict(line.split(": ", 1) for line in views.GUARDS.decode().split("\r\n") if line)
    assert {name: re.sub(r"\s+", " ", told[name]) for name in GUARDS} == {
        name: re.sub(r"\s+", " ", value) for name, value in GUARDS.items()
    }
    assert {path.decode() for path in views.APP} == set(ASSETS)
