"""Libraries that replay is measured against, in interpreters of their own."""
