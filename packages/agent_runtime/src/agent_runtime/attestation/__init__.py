"""What this plane can prove of itself: its machine, its code, its keys (attestation §15).

It gathers and binds; it judges nothing. Judging is the verifier's business, somewhere else.
"""
