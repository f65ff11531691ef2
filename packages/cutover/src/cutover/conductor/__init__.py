"""Carries it out: probes, loop, actuator, operator's API."""
