"""What every test may ask for, and what none may leave behind."""

import gc

import pytest

gc.disable()  # what collecting the tests makes is there to stay: to walk it meanwhile is in vain


@pytest.hookimpl(trylast=True)  # what is not wanted is gone by then
def pytest_collection_modifyitems(items):
    """Spread the long tests over the first three quarters of the others.

    Workers take tests in their order, in pieces that grow smaller: so each gets some of the long
    ones, and none of them is what all the others wait for at the end.
    """
    long = [item for item in items if item.get_closest_marker("long")]
    short = [item for item in items if not item.get_closest_marker("long")]
    if len(short) < 4 * len(long):
        return
    step = max(1, len(short) * 3 // 4 // max(1, len(long)))
    for number, item in enumerate(long):
        short.insert(number * (step + 1), item)
    items[:] = short


def pytest_collection_finish():
    """Look at nothing again that was imported so far."""
    gc.enable()
    _collect_and_set_apart()


@pytest.fixture(autouse=True)
def _leaves_nothing_open():
    """Whatever a test did not close is found now, and is its own failure, not a later test's.

    It is the first fixture of all, so the last to end: after the test's event loop.
    """
    yield
    gc.collect()


@pytest.fixture(autouse=True, scope="module")
def _module_leaves_nothing_open():
    """The same for what the tests of a module share."""
    yield
    _collect_and_set_apart()


def _collect_and_set_apart():
    """Collect; what is still in use then stays, so later collections need not look at it.

    They take less than a millisecond that way, and some ten otherwise.
    """
    gc.collect()
    gc.freeze()
