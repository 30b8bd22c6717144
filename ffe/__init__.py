"""The engine: bars in, one audited decision and at most one order out. Never imports prefect, flows or tasks."""

__version__ = "0.1.0"
