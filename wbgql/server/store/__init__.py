"""The database, its tables, blobs, clocks and secrets."""
