"""The runbook carried out on one laptop: real processes and sockets, faults of choice."""
