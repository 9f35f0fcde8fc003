"""The `.graphql` documents: what an operation is, where its text comes from.

`wbgql.documents.result_types` holds operations to their result types; it imports
graphql-core at once, so it is not imported here.
"""

from wbgql.documents.loading import Documents, load_documents, load_schema
from wbgql.documents.operations import Operation, Prepared, Result, Variable

__all__ = ["Operation", "Result", "Prepared", "Variable", "Documents", "load_documents", "load_schema"]
