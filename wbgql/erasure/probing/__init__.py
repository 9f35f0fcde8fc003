"""Finds out how one server deletes, with runs that are made for it and hidden again."""
