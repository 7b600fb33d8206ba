"""The same devices as real servers on loopback."""
