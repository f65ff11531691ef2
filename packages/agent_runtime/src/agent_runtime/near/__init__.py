"""NEAR: bytes, RPC, the split contract, tokens, and sending a transaction exactly once."""
