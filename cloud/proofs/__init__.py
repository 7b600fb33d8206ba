"""Signatures of gateways, and proofs of what they delivered."""
