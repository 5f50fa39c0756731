"""Owns what was said and bought: interactions and purchases."""
