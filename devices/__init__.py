"""Devices: profiles, the driver port and what implements it."""
