"""`INGRESS_OWNER`: nothing, one name, or a name for each way in."""

import pytest

from agent_runtime.errors import SettingsError
from agent_runtime.settings import Settings

EACH = "http=gateway, webhook=gateway,poller=hetzner,cron=none"


@pytest.mark.parametrize(
    ("given", "told"),
    [("", ""), ("gateway", "gateway"), (EACH, EACH.replace(" ", ""))],
)
def test_who_feeds_the_plane_is_told_as_given(given, told):
    assert Settings.from_environ({"INGRESS_OWNER": given}).ingress_owner == told


@pytest.mark.parametrize(
    "given", ["two words", "http=gateway", f"{EACH},http=x", EACH.replace("none", ""), "a=b"]
)
def test_a_way_in_that_is_missing_or_strange_is_refused(given):
    with pytest.raises(SettingsError, match="INGRESS_OWNER"):
        Settings.from_environ({"INGRESS_OWNER": given})
