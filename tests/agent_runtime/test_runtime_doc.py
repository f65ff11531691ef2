"""The page about the runtime's surface says what the code does."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from agent_runtime.settings import Settings
from agent_runtime.variables import variable_of

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "runtime.md").read_text("utf-8")


def test_it_lists_exactly_the_variables_that_may_differ():
    listed = re.search(r"^May differ: (.*?)\.\n\n", PAGE, re.MULTILINE | re.DOTALL)
    own = {variable_of(item).name for item in fields(Settings) if variable_of(item).own}
    assert set(re.findall(r"`([A-Z0-9_]+)`", listed[1])) == own


@pytest.mark.asyncio(loop_scope="module")
async def test_it_lists_exactly_the_metrics_that_are_shown(bare):
    answer = await bare.client.get("/metrics", headers={"x-agent-api-key": "test-key"})
    shown = set(
        re.findall(r"^# TYPE (agent_\w+) (?:counter|gauge|histogram)$", answer.text, re.MULTILINE)
    )
    # every histogram and counter has a `_created` beside it, which says when it began
    shown = {name for name in shown if not name.endswith("_created")}
    table = PAGE.partition("## Metrics")[2].partition("Worth an alert")[0]
    assert set(re.findall(r"`(agent_\w+)`", table)) == shown


@pytest.mark.asyncio(loop_scope="module")
async def test_identity_and_parity_have_exactly_the_members_that_it_explains(bare):
    key, nonce = {"x-agent-api-key": "test-key"}, "0f" * 32
    identity = (await bare.client.get(f"/identity?nonce={nonce}", headers=key)).json()
    parity = (await bare.client.post("/parity", json={"nonce": nonce}, headers=key)).json()
    for title, found in (("## Identity", identity), ("## Parity", parity)):
        table = PAGE.partition(title)[2].partition("\n## ")[0]
        rows = re.findall(r"^\| (`.*?) \| ", table, re.MULTILINE)
        assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(found)
