"""The public event contract: what other systems build on."""
