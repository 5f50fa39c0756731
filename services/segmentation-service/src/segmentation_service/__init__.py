"""Owns segments and who belongs to them."""
