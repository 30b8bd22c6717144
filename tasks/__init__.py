"""Thin Prefect tasks: retries, timeouts, names, logging and artifacts around one call into the engine."""
