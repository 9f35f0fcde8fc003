"""Filters of runs, compiled to SQL."""
