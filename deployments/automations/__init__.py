"""What a production server tells people, and the little that it does by itself: `python -m deployments.automations apply`."""

from deployments.automations.applying import apply_definitions
from ffe.observe.alarms import AUTOMATIONS
from ffe.settings import load_settings

EXPECTED: tuple[str, ...] = AUTOMATIONS


async def apply() -> list[str]:
    """Brings the server's automations to what is defined, notes by the FFE_NOTIFY__ settings; the names of all that are there then."""
    applied = await apply_definitions(load_settings().notify)
    return [name for name, outcome in applied.outcome.items() if outcome != "deleted"]
