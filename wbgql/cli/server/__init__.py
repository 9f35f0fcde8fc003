"""`wbgql server`: start it, manage its accounts and its store."""
