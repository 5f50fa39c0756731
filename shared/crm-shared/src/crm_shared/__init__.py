"""Relata's public event contract, and the plumbing that every service uses."""
