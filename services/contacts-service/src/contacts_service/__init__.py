"""Owns customers and their identities."""
