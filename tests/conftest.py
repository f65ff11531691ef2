"""What every test may ask for, and what none may leave behind."""

import gc

import pytest


def pytest_collection_finish():
    """Nothing imported so far is looked at again, so that a collection takes milliseconds."""
    gc.collect()
    gc.freeze()


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
    gc.collect()
