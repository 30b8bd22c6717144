"""The whole schema: importing it puts every table into the one metadata."""

from ffe.ledger import account_tables, feedback_tables, operations_tables, order_tables, shadow_tables, source_tables
from ffe.ledger.tables import METADATA

__all__ = [
    "METADATA",
    "account_tables",
    "feedback_tables",
    "operations_tables",
    "order_tables",
    "shadow_tables",
    "source_tables",
]
