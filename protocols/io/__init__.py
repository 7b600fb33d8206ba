"""Thin shells that move bytes."""
