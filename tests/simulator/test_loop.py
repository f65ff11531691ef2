"""Virtual time and simulated processes: what the rest of a simulation rests on."""

import asyncio
import contextlib
import re

import pytest

from cutover.errors import CutoverError
from cutover.simulator.kernel.clock import EPOCH_MS, SimulatedClock
from cutover.simulator.kernel.host import HOST, Host, Killed
from cutover.simulator.kernel.loop import HangError, SimulationLoop
from cutover.simulator.kernel.run import run


def now():
    return asyncio.get_running_loop().time()


# time


def test_time_jumps_to_what_is_due_next():
    """Nine days pass at once, and the clock says exactly what was slept."""

    async def main():
        seen = []
        for seconds in (0.000_001, 1.25, 9 * 86_400.0):
            await asyncio.sleep(seconds)
            seen.append(now())
        return seen

    assert run(main()) == [0.000_001, 1.250_001, 777_601.250_001]


def test_no_sleep_ends_early_and_steps_do_not_drift():
    """A thousand steps of 0.1 s are a hundred seconds, each no shorter than asked."""

    async def main():
        for _ in range(1000):
            began = now()
            await asyncio.sleep(0.1)
            assert now() - began >= 0.1 - 1e-9
        return now()

    assert run(main()) == pytest.approx(100, abs=0.001)


def test_what_is_asked_for_now_runs_in_the_order_of_asking():
    """And timers by their times, whoever asked first."""

    async def main():
        order, loop = [], asyncio.get_running_loop()
        for number in reversed(range(50)):
            loop.call_at(1 + number / 1e6, order.append, number)
        for number in range(50, 60):
            loop.call_soon(order.append, number)
        await asyncio.sleep(2)
        return order

    assert run(main()) == [*range(50, 60), *range(50)]


def test_what_is_due_at_the_same_instant_runs_in_the_same_order_each_time():
    """The heap of asyncio decides which, and it knows nothing but what was asked."""

    async def main():
        order, loop = [], asyncio.get_running_loop()
        for number in range(50):
            loop.call_at(1.0, order.append, number)
        await asyncio.sleep(2)
        return order

    first = run(main())
    assert sorted(first) == list(range(50))
    assert all(run(main()) == first for _ in range(3))


def test_the_clock_has_an_offset_on_the_wall_alone():
    """Pushing the wall clock moves no monotonic time."""

    async def main():
        clock = SimulatedClock(asyncio.get_running_loop())
        await asyncio.sleep(1.5)
        before = clock.monotonic_ms(), clock.wall_ms()
        clock.offset_ms -= 86_400_000
        return before, (clock.monotonic_ms(), clock.wall_ms())

    before, after = run(main())
    assert before == (1500, EPOCH_MS + 1500)
    assert after == (1500, EPOCH_MS + 1500 - 86_400_000)


# hangs and threads


def test_a_hang_is_an_error_that_names_who_waits_where():
    """Each task with the function that it stands in."""

    async def for_ever():
        await asyncio.get_running_loop().create_future()

    async def main():
        task = asyncio.create_task(for_ever(), name="the one that waits")
        await task

    with pytest.raises(HangError) as caught:
        run(main())
    assert re.search(r"the one that waits: .*for_ever \(test_loop\.py:\d+\)", str(caught.value))
    assert "main (test_loop.py" in str(caught.value)


def test_a_hang_names_twenty_and_counts_the_rest():
    """A message stays readable however many wait."""

    async def main():
        await asyncio.gather(*(_never() for _ in range(30)))

    async def _never():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(HangError, match="and 11 more"):
        run(main())


def test_the_main_task_hears_of_a_hang_and_may_say_what_it_knows():
    """Wherever it waits; what it waits for after that, for ever again, ends the loop."""

    async def main(*, again=False):
        try:
            await asyncio.gather(_never(), _never())
        except HangError as error:
            if again:
                with contextlib.suppress(HangError):
                    await _never()
            return str(error)

    async def _never():
        await asyncio.get_running_loop().create_future()

    assert "_never (test_loop.py" in run(main())
    with pytest.raises(HangError):
        run(main(again=True))


def test_a_dead_host_that_main_waits_for_is_a_hang():
    """Nothing of it runs, so nothing of it can be told either."""

    async def main():
        host = Host("h")
        task = host.start(asyncio.sleep(5))
        await asyncio.sleep(1)
        host.kill()
        await task

    with pytest.raises(HangError, match="main"):
        run(main())


def test_a_timer_that_is_still_due_is_no_hang():
    """However far away it is."""

    async def main():
        waiting = asyncio.get_running_loop().create_future()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1e6):
                await waiting
        return now()

    assert run(main()) == pytest.approx(1e6)


@pytest.mark.parametrize("ask", ["executor", "to_thread", "name"])
def test_threads_are_refused(ask):
    """What runs in one has no place in the order; looking up a name would need one."""

    async def main():
        loop = asyncio.get_running_loop()
        match ask:
            case "executor":
                await loop.run_in_executor(None, print)
            case "to_thread":
                await asyncio.to_thread(print)
            case "name":
                await loop.getaddrinfo("localhost", 80)

    with pytest.raises(CutoverError, match="wants a thread"):
        run(main())


def test_an_exception_in_a_callback_is_a_defect_of_the_run():
    """It is kept for the verdict, and the loop goes on."""

    async def main():
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: 1 // 0)
        await asyncio.sleep(1)
        return loop.defects

    (defect,) = run(main())
    assert isinstance(defect["exception"], ZeroDivisionError)


# hosts


async def _worker(log, name):
    try:
        for number in range(10):
            log.append((name, number))
            await asyncio.sleep(1)
    finally:
        log.append((name, "finally"))


def test_a_killed_host_runs_nothing_more():
    """Not a timer, not a callback, not even a `finally`; another host goes on."""

    async def main():
        log, dead, other = [], Host("dead"), Host("other")
        dead.start(_worker(log, "dead"))
        other.start(_worker(log, "other"))
        loop = asyncio.get_running_loop()
        loop.call_later(2.7, log.append, ("world", "sees"))
        loop.call_at(3.0, dead.context().run, lambda: None)
        await asyncio.sleep(2.5)
        loop.call_soon(log.append, ("dead", "soon"), context=dead.context())
        dead.kill()
        await asyncio.sleep(20)
        seen = list(log)
        dead.bury()
        return seen

    seen = run(main())
    assert [what for who, what in seen if who == "dead"] == [0, 1, 2]
    assert [what for who, what in seen if who == "other"] == [*range(10), "finally"]
    assert ("world", "sees") in seen


def test_whoever_asked_hears_of_a_death_once_in_the_order_of_asking():
    """And hears it as the world: what follows from it is not the dead one's to do."""

    async def main():
        told, host = [], Host("h")
        for number in range(3):
            host.on_death(lambda number=number: told.append((number, HOST.get())))
        host.context().run(host.kill)
        host.kill()
        return told

    assert run(main()) == [(0, None), (1, None), (2, None)]


def test_a_paused_host_runs_what_became_due_later_in_order():
    """What was cancelled meanwhile does not run; what was not, runs once."""

    async def main():
        log, host, loop = [], Host("h"), asyncio.get_running_loop()

        async def ask():
            for number in range(5):
                loop.call_later(1 + number / 10, log.append, number)
            return loop.call_later(1.25, log.append, "cancelled")

        cancelled = await host.start(ask())
        host.pause()
        await asyncio.sleep(5)
        assert log == []
        cancelled.cancel()
        host.go_on()
        await asyncio.sleep(1)
        return log

    assert run(main()) == [0, 1, 2, 3, 4]


def test_a_host_that_is_paused_again_at_once_keeps_what_it_had():
    """Nothing is lost or doubled by two pauses in a row."""

    async def main():
        log, host = [], Host("h")
        host.start(_worker(log, "h"))
        await asyncio.sleep(0.5)
        for _ in range(2):
            host.pause()
            await asyncio.sleep(3)
            host.go_on()
        await asyncio.sleep(30)
        return [what for _, what in log]

    assert run(main()) == [*range(10), "finally"]


def test_a_host_killed_while_paused_runs_nothing_of_what_was_held():
    """SIGKILL reaches a stopped process, too."""

    async def main():
        log, host = [], Host("h")
        host.start(_worker(log, "h"))
        await asyncio.sleep(0.5)
        host.pause()
        await asyncio.sleep(2)
        host.kill()
        host.go_on()
        await asyncio.sleep(2)
        seen = list(log)
        host.bury()
        return seen

    assert run(main()) == [("h", 0)]


@pytest.mark.parametrize("where", ["task", "callback"])
def test_to_die_from_within_ends_that_host_alone(where):
    """`Killed` unwinds what the process was doing, and neither the loop nor another hears it."""

    async def main():
        log, host, loop = [], Host("h"), asyncio.get_running_loop()

        def die():
            log.append("dies")
            host.kill()
            raise Killed("h")

        async def task():
            die()
            log.append("goes on")

        if where == "task":
            host.start(task())
        else:
            loop.call_soon(die, context=host.context())
        other = Host("other")
        other.start(_worker(log, "other"))
        host.start(_worker(log, "h"))
        await asyncio.sleep(20)
        seen, defects = list(log), loop.defects
        host.bury()
        return seen, defects

    seen, defects = run(main())
    assert defects == []
    assert seen[0] == "dies"
    assert "goes on" not in seen
    assert ("other", "finally") in seen
    assert [one for one in seen if one[0] == "h"] == []


def test_a_task_belongs_to_the_host_in_whose_context_it_was_made():
    """So do the tasks that it makes, and their callbacks."""

    async def inner():
        await asyncio.sleep(0.1)
        return HOST.get()

    async def outer():
        return HOST.get(), await asyncio.create_task(inner())

    async def main():
        host = Host("h", 3)
        return repr(host), await host.start(outer()) == (host, host), HOST.get()

    assert run(main()) == ("h#3", True, None)


# determinism


def test_tasks_hash_by_their_number():
    """So the order of a set of tasks is the order of their making, wherever they lie in memory."""

    async def main():
        tasks = [asyncio.create_task(asyncio.sleep(1)) for _ in range(6)]
        numbers = [hash(task) for task in tasks]
        assert tasks[0] == tasks[0]
        assert tasks[0] != tasks[1]
        await asyncio.gather(*tasks)
        return numbers

    numbers = run(main())
    assert numbers == list(range(numbers[0], numbers[0] + 6))
    assert run(main()) == numbers


def test_a_group_cancels_its_tasks_in_the_order_of_their_making():
    """Its tasks are in a set."""

    async def waits(log, number):
        try:
            await asyncio.sleep(1e9)
        finally:
            log.append(number)

    async def main():
        log = []
        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                for number in range(40):
                    group.create_task(waits(log, number))
                await asyncio.sleep(1)
                raise ValueError
        return log

    first = run(main())
    assert sorted(first) == list(range(40))
    assert run(main()) == first


def test_nothing_of_a_simulation_is_left_standing():
    """A task that still waits at the end is unwound there and then."""
    ended = []

    async def waits():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)

    async def main():
        asyncio.create_task(waits(), name="kept")  # noqa: RUF006 - that is what is tried
        await asyncio.sleep(1)

    run(main())
    assert ended == [True]
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_a_loop_has_no_network_unless_it_is_given_one():
    """A connection never leaves the process by accident."""

    async def main():
        assert isinstance(asyncio.get_running_loop(), SimulationLoop)
        with pytest.raises(AttributeError):
            await asyncio.get_running_loop().create_connection(asyncio.Protocol, "127.0.0.1", 80)

    run(main())
