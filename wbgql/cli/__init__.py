"""The `wbgql` command: a command parses, asks the library once, and prints. No I/O at import."""
