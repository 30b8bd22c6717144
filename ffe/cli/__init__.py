"""The `ffe` command."""
