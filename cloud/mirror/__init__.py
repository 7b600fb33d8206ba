"""A copy of the readings in an InfluxDB 2 server or what speaks its API."""
