"""Rules, alerts and their life."""
