"""Erasure that proves what it did: plan, approve, apply, verify, watch, certify, close.

Import from the modules; this file stays empty of code so that `import wbgql` stays light.
"""

APPROVERS_VARIABLE = "WBGQL_APPROVERS"
"""Names the approvers file. Where it is set, a plan without approvers is refused."""
