"""A NEAR chain on one laptop: real transaction bytes, nonces, finality, receipts and contracts."""
