"""The audit log: what is noted, and how it is read."""
