"""Projects, buildings, premises, people, gateways, devices and channels."""
