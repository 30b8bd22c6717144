"""Brings the automations of a server to what is defined here; what is already so is left untouched, and so keeps its running windows.

An automation that a person has switched off stays off: `apply` changes what it does, not whether. The reality check says that it is off.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.events.schemas.automations import Automation, AutomationCore

from deployments.automations.channels import save_channels
from deployments.automations.definitions import TAG, definitions
from deployments.automations.triggers import Windows
from ffe.observe.alarms import PREFIX
from ffe.settings_operations import NotifySettings


@dataclass(frozen=True)
class Applied:
    """What became of each automation: `created`, `updated`, `unchanged`, `deleted`; and the channels that notes go to."""

    outcome: dict[str, str]
    channels: tuple[str, ...]
    switched_off: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{name}: {outcome}" for name, outcome in self.outcome.items()]
        lines += [f"{name}: is switched off, and stays so" for name in self.switched_off]
        if self.channels:
            lines.append(f"notes go to {', '.join(self.channels)}")
        else:
            lines.append("no channel is set (FFE_NOTIFY__SLACK_WEBHOOK, __WEBHOOK, __EMAIL): nobody is notified")
        return "\n".join(lines)


async def apply_definitions(notify: NotifySettings, windows: Windows | None = None, *, pause: bool = True) -> Applied:
    """Channels, then automations, then the retired ones of ours deleted. Talks to the API of this process's Prefect settings."""
    async with get_client() as client:
        channels = await save_channels(client, notify)
        there = await _ours(client)
        wanted = definitions(list(channels.values()), windows, pause=pause)
        outcome = {each.name: await _bring(client, each, there.get(each.name, ())) for each in wanted}
        retired = [each for name, found in there.items() if name not in outcome for each in found]
        for each in retired:
            await client.delete_automation(each.id)
            outcome[each.name] = "deleted"
    off = tuple(name for name, found in there.items() if outcome[name] != "deleted" and not found[0].enabled)
    return Applied(outcome, tuple(channels), off)


async def _ours(client: PrefectClient) -> dict[str, list[Automation]]:
    """By name, always in the same order: nothing stops a person from making a second one of the same name."""
    found: dict[str, list[Automation]] = {}
    for each in sorted(await client.read_automations(), key=lambda automation: str(automation.id)):
        if each.name.startswith(PREFIX) and TAG in each.tags:
            found.setdefault(each.name, []).append(each)
    return found


async def _bring(client: PrefectClient, wanted: AutomationCore, there: Sequence[Automation]) -> str:
    if not there:
        await client.create_automation(wanted)
        return "created"
    first, *others = there
    for other in others:
        await client.delete_automation(other.id)
    # Read from a dump so that every field counts as set: the client's update sends nothing else, and the server would take an action without
    # its `type` for another one (a pause for a run). It refuses an owner.
    same = AutomationCore.model_validate(wanted.model_dump(exclude={"owner_resource"}) | {"enabled": first.enabled})
    if AutomationCore.model_validate(first.model_dump()) == same:
        return "unchanged"
    await client.update_automation(first.id, same)
    return "updated"
