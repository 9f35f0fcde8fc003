"""`wbgql erase`: one file for each command of an erasure case."""
