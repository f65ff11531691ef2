"""What follows: a pure function of the runbook, the run, and now."""
