"""Warm start of Python modules: a server that has imported the heavy libraries forks one process for each run. docs/workers.md."""
