"""The scenario world, under the name that tests of the core have for it."""

from cutover.simulator.conformance.node import Node, Plane
from cutover.simulator.conformance.world import World

__all__ = ["Node", "Plane", "World"]
