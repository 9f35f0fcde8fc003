"""Proves by independent reads what a job says it did.

Import from the modules (`job.verify` first of all): this file stays empty of code, because operations are
known without the database that a ledger needs.
"""
