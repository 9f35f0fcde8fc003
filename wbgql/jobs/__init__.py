"""Bulk work through a durable engine: submitted in ranges, resumed after any crash."""
