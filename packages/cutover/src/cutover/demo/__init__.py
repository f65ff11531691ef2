"""The runbook carried out on one laptop: real processes, real sockets, faults that can be chosen."""
