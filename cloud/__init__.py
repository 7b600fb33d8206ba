"""The service: ingest, store, metering, billing, alerts, pages."""
