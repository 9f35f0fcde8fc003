"""The ledger: what each job was told to do, did and proved. One database for all cases; durable on return.

Every change stands in one transaction with the journal entry that tells of it, and the journal of a job has
one writer at a time: the job's row is locked first. Nothing else writes these tables.
"""

from wbgql.erasure.ledger.checks import StoredVerification
from wbgql.erasure.ledger.database import JOB_STATES, Job, JobState
from wbgql.erasure.ledger.records import Ledger
from wbgql.erasure.ledger.tables import database_file, make_engine

__all__ = [
    "JOB_STATES",
    "Job",
    "JobState",
    "Ledger",
    "StoredVerification",
    "database_file",
    "make_engine",
]
