"""Switches that make this server as awkward as others."""
