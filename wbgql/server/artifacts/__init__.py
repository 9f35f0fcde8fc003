"""Artifacts in the store: logging, committing, aliases, deletion."""
