"""Coinbase's lists, page after page, and its order documents."""

import time
from collections.abc import Iterator
from typing import Any

from ffe.errors import VenueReadError
from ffe.venues import reply
from ffe.venues.clients import CoinbaseClient

# A year of a fill each minute is 5,256 pages of 100; more than this is a list that never ends.
MOST_PAGES = 10_000


def paged(
    client: CoinbaseClient, method: str, key: str, *, seconds: float | None = None, **arguments: Any
) -> Iterator[dict[str, Any]]:
    """Entries of every page. The end is `has_next` false where a reply has it, an empty cursor where it has not.

    Raises:
        VenueReadError: the pages have no end, or none within `seconds`: no page is asked for after that.
    """
    cursor, until = None, None if seconds is None else time.monotonic() + seconds
    for _ in range(MOST_PAGES):
        page = client.read(method, **arguments, **({"cursor": cursor} if cursor else {}))
        yield from reply.entries(page, key)
        following = reply.first_text(page, "cursor")
        more = reply.flag(page, "has_next") if "has_next" in page else following is not None
        if not more:
            return
        if following is None or following == cursor:
            raise reply.malformed(f"{method} promises a next page without a new cursor", page)
        if until is not None and time.monotonic() >= until:
            raise VenueReadError(f"coinbase {method}: its pages did not end within {seconds:g} s", transient=True)
        cursor = following
    raise VenueReadError(f"coinbase {method}: more than {MOST_PAGES} pages", transient=False)


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
