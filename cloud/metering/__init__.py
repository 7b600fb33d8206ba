"""Meter points, installs, interval reads and their balance."""
