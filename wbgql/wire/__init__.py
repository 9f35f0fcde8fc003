"""From an operation to the socket and back: session, transport, retries, pages, limits."""
