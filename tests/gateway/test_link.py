"""What a node believes of a conductor's answer to its report."""

import pytest

from cutover.evidence.wire import GRANT_BYTES_MAX, GRANT_MS_MAX, Grant, NodeReport
from cutover.gateway.link import Link, LinkError
from gateway.doubles import TOKEN, Conductor, table

REPORT = NodeReport("node-1", "b1", 1, 1, 0, "", 0, 0, (), (), {})


@pytest.fixture
async def conductor():
    made = await Conductor().start()
    yield made
    await made.stop()


async def report(conductor):
    link = Link(conductor.url, TOKEN)
    try:
        return await link.report(REPORT)
    finally:
        await link.close()


async def test_the_grant_is_what_the_conductor_said(conductor):
    """Who says so, and how long it holds."""
    conductor.table, conductor.money_ms = table(3, term=2), 1234
    assert await report(conductor) == Grant("run-1", 2, 1234)


@pytest.mark.parametrize(
    "said",
    [
        b"", b"{}", b"[]", b"null", b"600000", b"\xff", b"[" * 3_000,
        b'{"run":"r","term":1}',
        b'{"run":"r","term":1,"money_ms":null}',
        b'{"run":"r","term":1,"money_ms":"5"}',
        b'{"run":"r","term":1,"money_ms":true}',
        b'{"run":"r","term":1,"money_ms":1.5}',
        b'{"run":"r","term":1,"money_ms":1e99}',
        b'{"run":"r","term":1,"money_ms":-1}',
        b'{"run":"r","term":1,"money_ms":%d}' % (GRANT_MS_MAX + 1),
        b'{"run":"r","term":0,"money_ms":5}',
        b'{"run":7,"term":1,"money_ms":5}',
        b'{"run":"r","term":1,"money_ms":5}' + b" " * GRANT_BYTES_MAX,
    ],
)  # fmt: skip
async def test_what_is_no_grant_is_no_acknowledgement(conductor, said):
    """A node that cannot read how long money may go on does not guess."""
    conductor.grant = said
    with pytest.raises(LinkError, match="grant"):
        await report(conductor)


async def test_a_refused_report_is_none_either(conductor):
    """The status is named."""
    conductor.refuse_reports = 1
    with pytest.raises(LinkError, match="answered 500 to the report"):
        await report(conductor)
