"""Names of the automations and deployments that a production server has to have: `python -m deployments.automations apply` and
`prefect deploy --all` make them.

The names are here, and not beside the definitions, because the reality check compares them with what a server has, and `ffe` knows no
Prefect. docs/automations.md says what each is for; docs/operations.md what a person does, under the same name.
"""

# What is ours on a server that others use too; an automation of this prefix that is not below was ours once, and is deleted.
PREFIX = "ffe-"

CYCLE_FAILED = "ffe-cycle-failed"
CYCLE_CRASHING = "ffe-cycle-crashing"
CRYPTO_CYCLE_MISSING = "ffe-crypto-cycle-missing"
FOREX_CYCLE_MISSING = "ffe-forex-cycle-missing"
GPU_LATE = "ffe-gpu-late"
ZOMBIE_RUN = "ffe-zombie-run"
STUCK_CANCELLING = "ffe-stuck-cancelling"
KILL_SWITCH_TRIPPED = "ffe-kill-switch-tripped"
REALITY_BROKEN = "ffe-reality-broken"
RECONCILE_DIFFERENCE = "ffe-reconcile-difference"
PREFLIGHT_FAILED = "ffe-preflight-failed"

AUTOMATIONS: tuple[str, ...] = (
    CYCLE_FAILED,
    CYCLE_CRASHING,
    CRYPTO_CYCLE_MISSING,
    FOREX_CYCLE_MISSING,
    GPU_LATE,
    ZOMBIE_RUN,
    STUCK_CANCELLING,
    KILL_SWITCH_TRIPPED,
    REALITY_BROKEN,
    RECONCILE_DIFFERENCE,
    PREFLIGHT_FAILED,
)

# "flow/deployment" of all that prefect.yaml gives a schedule.
DEPLOYMENTS: tuple[str, ...] = (
    "trading-cycle/crypto",
    "trading-cycle/forex",
    "reconcile/reconcile",
    "watch-exits/watch-exits",
    "reality-check/reality-check",
    "preflight/preflight",
    "sync-instruments/sync-instruments",
    "retention/retention",
    "grade-decisions/grade-decisions",
    "backfill-bars/backfill-bars",
)
