"""A run that stands in shadow for the verbs to talk to, and the CLI in this process."""

import functools

import pytest

from cli.hands import hand
from conductor.theatre import Theatre, until

KEYS = {
    "hetzner": "PLANTED-hetzner-0123456789",
    "phala": "PLANTED-phala-0123456789",
    "client": "PLANTED-client-0123456789",
    "hook": "PLANTED-hook-0123456789",
}
STAY = (('"2s", canary_runs = 2', '"1h", canary_runs = 2'),)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two planes, conductor and gateway; shadow is open and will stay so."""
    with Theatre(tmp_path_factory.mktemp("world"), STAY, KEYS) as made:
        made.planes("--tee")
        made.conductor()
        made.gateway()
        until("shadow", lambda: made.stages() == ["shadow"], tell=made.story)
        yield made


@pytest.fixture
def cutover(monkeypatch, capsys):
    return functools.partial(hand, monkeypatch, capsys)
