"""Streams and calls between simulated hosts, in every weather."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutover.pinned import PinError, PinnedContext
from cutover.simulator.kernel.host import Host
from cutover.simulator.kernel.network import demanding
from cutover.simulator.kernel.weather import CALM_MS, Condition
from cutover.simulator.world.intruder import intruder
from simulator.sims import Ear, Wire, networked

CUT = Condition("near", "far", cut=True)


def lift(network, condition):
    network.weather.remove(condition)
    network.weather_changed()


# streams


@settings(max_examples=40, deadline=None)
@given(pieces=st.lists(st.binary(min_size=1, max_size=40), max_size=20), gaps=st.booleans())
def test_bytes_arrive_in_order_and_whole(pieces, gaps):
    """Both ways, however they are cut into pieces, with their end after them."""

    async def play(network):
        wire = await Wire(network).open()
        for piece in pieces:
            wire.transport.write(piece)
            wire.far.transport.write(piece)
            if gaps:
                await asyncio.sleep(0.0001)
        wire.transport.write_eof()
        await asyncio.sleep(1)
        return wire.near.text, wire.far.text, wire.far.ended

    assert networked(play) == (b"".join(pieces), b"".join(pieces), True)


def test_a_message_takes_as_long_as_the_weather_says():
    """Within bounds, and never no time at all."""

    async def play(network):
        wire = await Wire(network).open()
        took = []
        for _ in range(50):
            began = network.loop.time()
            wire.transport.write(b"x")
            await asyncio.sleep(0.01)
            took.append((wire.far.at[-1] - began) * 1000)
        slow = Condition("near", "*", slow_ms=500)
        network.weather.add(slow)
        began = network.loop.time()
        wire.transport.write(b"x")
        await asyncio.sleep(1)
        return took, (wire.far.at[-1] - began) * 1000

    took, slowly = networked(play)
    least, most = CALM_MS
    assert all(least <= one <= most + 0.002 for one in took)
    assert len(set(took)) > 10
    assert 500 + least <= slowly <= 500 + most + 0.002


def test_a_cut_holds_what_is_said_and_its_end_delivers_it():
    """As TCP would: late, in order, and nothing twice."""

    async def play(network):
        wire = await Wire(network).open()
        wire.transport.write(b"before,")
        await asyncio.sleep(0.1)
        wire.transport.write(b"on its way,")  # is underway when the cut begins
        network.weather.add(CUT)
        wire.transport.write(b"during,")
        wire.far.transport.write(b"back")
        await asyncio.sleep(60)
        during = wire.far.text, wire.near.text, wire.transport.get_write_buffer_size()
        lift(network, CUT)
        wire.transport.write(b"after")
        await asyncio.sleep(0.1)
        return during, wire.far.text, wire.near.text

    during, far, near = networked(play)
    assert during == (b"before,", b"", len(b"on its way,during,"))
    assert (far, near) == (b"before,on its way,during,after", b"back")


def test_a_cut_keeps_others_apart_from_nothing():
    """It is between two hosts, in both directions."""

    async def play(network):
        wire = await Wire(network).open()
        network.weather.add(Condition("near", "third", cut=True))
        wire.transport.write(b"through")
        await asyncio.sleep(0.1)
        return (
            wire.far.text,
            network.weather.cut("third", "near"),
            network.weather.cut("far", "near"),
        )

    assert networked(play) == (b"through", True, False)


def test_who_connects_through_a_cut_waits_for_its_end():
    """A caller with a deadline meets it."""

    async def play(network):
        network.listen(Ear, "far", 80)
        network.weather.add(Condition("outside", "far", cut=True))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await network.loop.create_connection(Ear, "far", 80)
        waiting = asyncio.ensure_future(network.loop.create_connection(Ear, "far", 80))
        await asyncio.sleep(5)
        assert not waiting.done()
        lift(network, Condition("outside", "far", cut=True))
        await waiting
        return network.loop.time()

    assert networked(play) == pytest.approx(10, abs=0.01)


def test_a_reset_tells_both_ends():
    """Each hears that the other broke it; a connection of others lives on."""

    async def play(network):
        wire, other = await Wire(network).open(), Ear()
        network.listen(lambda: other, "third", 80)
        transport, _ = await network.loop.create_connection(Ear, "third", 80)
        network.reset_between("far", "near")
        await asyncio.sleep(0.1)
        transport.write(b"lives")
        await asyncio.sleep(0.1)
        return wire.near.error, wire.far.error, wire.transport.is_closing(), other.text

    near, far, closing, other = networked(play)
    assert isinstance(near, ConnectionResetError)
    assert isinstance(far, ConnectionResetError)
    assert closing
    assert other == b"lives"


def test_a_half_answer_breaks_off_in_the_middle():
    """The first half arrives, then both hear of the break."""

    async def play(network):
        wire = await Wire(network).open()
        network.weather.add(Condition("near", "far", halve=1.0))
        wire.far.transport.write(b"0123456789")
        await asyncio.sleep(0.1)
        return wire.near.text, wire.near.error, wire.far.error

    text, near, far = networked(play)
    assert text == b"01234"
    assert isinstance(near, ConnectionResetError)
    assert isinstance(far, ConnectionResetError)


def test_closing_delivers_what_was_written_and_aborting_does_not():
    """As asyncio promises."""

    async def play(network):
        closed, aborted = await Wire(network).open(), Wire(network)
        closed.transport.write(b"all of it")
        closed.transport.close()
        closed.transport.write(b"too late")
        await asyncio.sleep(0.1)
        network.forget(("far", 80), network._listeners["far", 80])
        await aborted.open()
        aborted.transport.write(b"lost")
        aborted.transport.abort()
        await asyncio.sleep(0.1)
        return closed, aborted

    closed, aborted = networked(play)
    assert (closed.far.text, closed.far.ended, closed.near.error) == (b"all of it", True, None)
    assert (aborted.far.text, type(aborted.far.error)) == (b"", ConnectionResetError)
    assert (aborted.near.ended, aborted.near.error) == (True, None)


def test_who_does_not_read_is_told_later():
    """Nothing arrives while reading is paused, all of it after."""

    async def play(network):
        wire = await Wire(network).open()
        wire.far.transport.pause_reading()
        wire.transport.write(b"one,")
        wire.transport.write(b"two")
        await asyncio.sleep(1)
        assert wire.far.text == b""
        wire.far.transport.resume_reading()
        await asyncio.sleep(0.1)
        return wire.far.text

    assert networked(play) == b"one,two"


def test_a_dead_listener_refuses_and_its_peers_are_reset():
    """Its name is free for who comes after it."""

    async def play(network):
        wire = await Wire(network).open()
        wire.far_host.kill()
        await asyncio.sleep(0.1)
        with pytest.raises(ConnectionRefusedError):
            await network.loop.create_connection(Ear, "far", 80)
        network.listen(Ear, "far", 80)
        return wire.near.error, wire.far.error, wire.far.ended

    near, far, ended = networked(play)
    assert isinstance(near, ConnectionResetError)
    assert (far, ended) == (None, False)  # the dead hear nothing


def test_nobody_takes_a_name_that_is_taken():
    """As a second `bind` would be refused."""

    async def play(network):
        network.listen(Ear, "far", 80)
        with pytest.raises(OSError, match="far:80 is taken"):
            network.listen(Ear, "far", 80)
        network.listen(Ear, "far", 81)

    networked(play)


def test_who_comes_between_after_the_look_at_a_key_is_told_nothing():
    """Who answers is settled when the connection is made: there the key is compared, too."""
    key, told = "11" * 32, Ear()

    async def play(network):
        wire = await Wire(network).open()
        network.keys["far"] = lambda: key
        tls = PinnedContext(key)

        async def speak():
            network.handshake("far", tls)
            network.between["far"] = intruder(told.data_received)
            with pytest.raises(PinError), demanding(tls):
                await network.loop.create_connection(Ear, "far", 80)
            await network.loop.create_connection(Ear, "far", 80)  # without a demand: as ever

        await wire.near_host.start(speak())
        return len(wire.ears), told.text

    assert networked(play) == (1, b"")


# calls


class Served:
    """A host that does what it is asked, and counts it."""

    def __init__(self, network, name="far"):
        self.network, self.name, self.host, self.runs = network, name, Host(name), 0

    async def work(self):
        self.runs += 1
        await asyncio.sleep(0.1)
        return self.runs

    async def fail(self):
        self.runs += 1
        raise ValueError("as told")

    async def call(self, ask=None):
        return await self.network.call(self.host, self.name, ask or self.work)


def test_a_call_gives_the_answer_and_takes_two_ways():
    """And what it raises there comes out here."""

    async def play(network):
        far = Served(network)
        answer = await far.call()
        took = network.loop.time() - 0.1
        with pytest.raises(ValueError, match="as told"):
            await far.call(far.fail)
        return answer, took * 1000

    answer, took = networked(play)
    assert answer == 1
    assert 2 * CALM_MS[0] <= took <= 2 * CALM_MS[1] + 0.01


def test_a_lost_request_is_never_carried_out():
    """And a lost answer always was: the caller cannot tell one from the other."""

    async def play(network):
        far, seen = Served(network), []
        for _ in range(60):
            condition = Condition("outside", "far", lose=0.5)
            network.weather.add(condition)
            before = far.runs
            try:
                await far.call()
            except ConnectionResetError as error:
                seen.append(("request" if "request" in str(error) else "answer", far.runs - before))
            else:
                seen.append(("none", far.runs - before))
            network.weather.remove(condition)
        return seen

    seen = networked(play)
    assert set(seen) == {("request", 0), ("answer", 1), ("none", 1)}


def test_a_copied_call_is_carried_out_twice_and_answered_once():
    """A failure of the copy is heard by nobody."""

    async def play(network):
        far = Served(network)
        network.weather.add(Condition("outside", "far", copy=1.0))
        await far.call()
        once = far.runs
        with pytest.raises(ValueError, match="as told"):
            await far.call(far.fail)
        await asyncio.sleep(1)
        return once, far.runs, network.loop.defects

    assert networked(play) == (2, 4, [])


def test_a_call_to_nobody_is_refused():
    """Whether nobody ever ran there, or it has died."""

    async def play(network):
        far = Served(network)
        with pytest.raises(ConnectionRefusedError, match="nobody listens at far"):
            await network.call(None, "far", far.work)
        far.host.kill()
        with pytest.raises(ConnectionRefusedError):
            await far.call()
        return far.runs

    assert networked(play) == 0


def test_who_dies_over_a_call_closes_the_connection():
    """The caller hears it at once."""

    async def play(network):
        far = Served(network)
        network.loop.call_later(0.05, far.host.kill)
        with pytest.raises(ConnectionResetError, match="far closed the connection"):
            await far.call()
        far.host.bury()
        return network.loop.time()

    assert networked(play) == pytest.approx(0.05)


def test_a_call_waits_out_a_cut_on_either_way():
    """The request, and the answer that is ready when the cut begins."""

    async def play(network):
        far, condition = Served(network), Condition("*", "far", cut=True)
        network.weather.add(condition)
        asking = asyncio.ensure_future(far.call())
        await asyncio.sleep(10)
        assert far.runs == 0
        lift(network, condition)
        await asyncio.sleep(0.05)
        network.weather.add(condition)
        await asyncio.sleep(10)
        assert (far.runs, asking.done()) == (1, False)
        lift(network, condition)
        return await asking

    assert networked(play) == 1


def test_two_cuts_end_with_the_second():
    """Lifting one changes nothing while another keeps the two apart."""

    async def play(network):
        far, other = Served(network), Condition("*", "far", cut=True)
        for condition in (CUT, other):
            network.weather.add(condition)
        network.weather.add(Condition("outside", "far", cut=True))
        asking = asyncio.ensure_future(far.call())
        await asyncio.sleep(1)
        lift(network, other)
        await asyncio.sleep(10)
        assert far.runs == 0
        lift(network, Condition("outside", "far", cut=True))
        return await asking

    assert networked(play) == 1


def test_chance_is_only_asked_while_a_condition_needs_it():
    """So a fault changes nothing of what went before it, or elsewhere."""

    async def play(network):
        network.weather.add(Condition("a", "b", slow_ms=1))
        network.weather.add(Condition("a", "c", lose=0.5, copy=0.5, halve=0.5))
        state = network.weather._chance.getstate()
        one = network.weather.lost("a", "b"), network.weather.copied("a", "b")
        return one, network.weather.halved("a", "b"), network.weather._chance.getstate() == state

    assert networked(play) == ((False, False), False, True)
