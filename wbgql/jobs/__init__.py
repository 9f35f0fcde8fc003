"""Bulk work through a durable engine: submitted in ranges, resumed after any crash.

The port is `submit / status / stop / resume / work`; DBOS Transact stands behind it and nowhere else. The
engine knows a job by its id and numbers only, so that its tables hold nothing of what the numbers stand for.
"""
