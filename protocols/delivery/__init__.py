"""The contract between the gateway and the cloud, as pure code."""
