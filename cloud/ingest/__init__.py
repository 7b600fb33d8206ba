"""From MQTT to a committed transaction, then an acknowledgement."""
