"""What several steps of a case read from the server, and how fast they may ask."""
