"""What makes the Prefect server itself forget old runs with their logs and artifacts, and nothing that costs an import.

Prefect 3.8 has a service for it, which is off for runs unless asked: it deletes runs that ended before the limit, then their logs and
artifacts, in small transactions, every hour, and once a day what those have left behind. Our own flow has nothing to add.
"""

from datetime import timedelta


def vacuum_environment(runs_days: int | None) -> dict[str, str]:
    """Settings for the server's process by `FFE_RETENTION__RUNS_DAYS`; None: runs stay, and Prefect's own limit on events holds."""
    if runs_days is None:
        return {}
    return {
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": f"{timedelta(days=runs_days).total_seconds():.0f}",
    }
