"""Owns surveys and answers."""
