"""Plays it all: the real conductor and gateway in virtual time, under seeded faults."""
