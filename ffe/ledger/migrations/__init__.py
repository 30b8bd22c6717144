"""The schema's history. `HEAD` is its newest revision, kept here so that an up-to-date ledger opens without importing Alembic."""

HEAD = "0006"
