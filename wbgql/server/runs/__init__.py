"""Runs in the store: rows, pages, history, files, console."""
