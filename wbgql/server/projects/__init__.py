"""Projects in the store, and who belongs to them."""
