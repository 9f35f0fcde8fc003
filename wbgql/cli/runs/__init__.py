"""`wbgql runs`, and what other commands share with it."""
