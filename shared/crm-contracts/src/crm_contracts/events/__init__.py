"""The payloads of public events: one module per service, found by the catalogue."""
