"""Where notes go: Prefect's own notification blocks, made from the FFE_NOTIFY__ settings.

A block's document holds the URL in a secret field, which the server encrypts at rest and hides from who reads it. The URLs come from the
environment at each `apply`, so replacing one is: set it, apply. A channel that is no longer set loses its block, and with it its secret.

All three are blocks of type Slack Webhook: that class hands every URL that is not Slack's to Apprise, and Prefect's server can only load
block types that it ships, of which none is for SMTP. There is one for webhooks, but when the receiver answers with an error it raises with the
URL in its text, and the server's log has the secret then (seen on 3.8.8). Apprise fails without naming the URL.
"""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID

from apprise import Apprise
from prefect.blocks.notifications import SlackWebhook
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

from ffe.errors import ConfigurationError
from ffe.settings_operations import NotifySettings

SLACK, WEBHOOK, EMAIL = "ffe-slack", "ffe-webhook", "ffe-email"
BLOCK_TYPE = "slack-webhook"
JSON_SCHEMES = {"http": "json", "https": "jsons"}


async def save_channels(client: PrefectClient, notify: NotifySettings) -> dict[str, UUID]:
    """Block document ids by the block's name, of the channels that are set; the documents of the others are deleted.

    Raises:
        ConfigurationError: an address that is none, naming its variable; nothing was changed then.
    """
    addresses = {name: address for name, address in _addresses(notify).items() if address is not None}
    blocks = {name: SlackWebhook(url=address) for name, address in addresses.items()}
    for name in {SLACK, WEBHOOK, EMAIL} - blocks.keys():
        await _forget(client, name)
    return {name: await block.asave(name, overwrite=True, client=client) for name, block in blocks.items()}


def _addresses(notify: NotifySettings) -> dict[str, SecretStr | None]:
    return {
        SLACK: _checked("FFE_NOTIFY__SLACK_WEBHOOK", notify.slack_webhook),
        WEBHOOK: _checked("FFE_NOTIFY__WEBHOOK", None if notify.webhook is None else posted_json(notify.webhook)),
        EMAIL: _checked("FFE_NOTIFY__EMAIL", notify.email),
    }


def _checked(variable: str, address: SecretStr | None) -> SecretStr | None:
    if address is not None and not Apprise().add(address.get_secret_value()):
        raise ConfigurationError(f"{variable} is no address that a note can go to; docs/automations.md has the forms")
    return address


def posted_json(url: SecretStr) -> SecretStr:
    """The webhook's http(s) URL as Apprise wants it: a POST of JSON with `title` and `message`, the URL's own query kept."""
    parts = urlsplit(url.get_secret_value())
    query = urlencode([(f"-{name}", value) for name, value in parse_qsl(parts.query, keep_blank_values=True)])
    scheme = JSON_SCHEMES.get(parts.scheme, parts.scheme)
    return SecretStr(urlunsplit((scheme, parts.netloc, parts.path, query, "")))


async def _forget(client: PrefectClient, name: str) -> None:
    try:
        document = await client.read_block_document_by_name(name, BLOCK_TYPE, include_secrets=False)
    except ObjectNotFound:
        return
    await client.delete_block_document(document.id)
