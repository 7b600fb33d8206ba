"""What runs on the gateway: schedule, poll, journal, uplink."""
