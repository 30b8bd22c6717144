"""Coinbase's lists, page after page, and its order documents."""

from collections.abc import Iterator
from typing import Any

from ffe.venues import reply
from ffe.venues.clients import CoinbaseClient


def paged(client: CoinbaseClient, method: str, key: str, **arguments: Any) -> Iterator[dict[str, Any]]:
    """Entries of every page. The end is `has_next` false where a reply has it, an empty cursor where it has not."""
    cursor: str | None = None
    while True:
        page = client.read(method, **arguments, **({"cursor": cursor} if cursor else {}))
        yield from reply.entries(page, key)
        following = reply.first_text(page, "cursor")
        more = reply.flag(page, "has_next") if "has_next" in page else following is not None
        if not more:
            return
        if following is None or following == cursor:
            raise reply.malformed(f"{method} promises a next page without a new cursor", page)
        cursor = following


def order_document(client: CoinbaseClient, order_id: str) -> dict[str, Any]:
    order: dict[str, Any] = reply.need(client.read("get_order", order_id=order_id), "order")
    return order


class OrderDocuments:
    """Order documents by id; each is asked for once."""

    def __init__(self, client: CoinbaseClient) -> None:
        self._client, self._known = client, dict[str, dict[str, Any]]()

    def __call__(self, order_id: str) -> dict[str, Any]:
        if order_id not in self._known:
            self._known[order_id] = order_document(self._client, order_id)
        return self._known[order_id]
