"""The `.graphql` documents: what an operation is, where its text comes from.

`wbgql.documents.result_types` holds operations to their result types; it imports
graphql-core at once, so it is not imported here.
"""

from wbgql.documents.loading import Documents, load_documents, load_schema
from wbgql.documents.operations import (
    NOT_FETCHED,
    Echo,
    Identified,
    NamedObject,
    NamedProject,
    Names,
    Operation,
    Prepared,
    Result,
    Variable,
)

__all__ = [
    "NOT_FETCHED",
    "Documents",
    "Echo",
    "Identified",
    "NamedObject",
    "NamedProject",
    "Names",
    "Operation",
    "Prepared",
    "Result",
    "Variable",
    "load_documents",
    "load_schema",
]
