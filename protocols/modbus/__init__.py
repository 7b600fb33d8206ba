"""Modbus without I/O."""
