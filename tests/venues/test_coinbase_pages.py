"""Page after page to the end, which comes in any case."""

from itertools import count
from typing import Any

import pytest

from ffe.errors import VenueReadError
from ffe.venues import coinbase_pages
from ffe.venues.coinbase_pages import paged


class Client:
    """Answers with the given pages in turn, or with ever new ones."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages, self.cursors = list(pages), list[str | None]()

    def read(self, method: str, **arguments: Any) -> dict[str, Any]:
        self.cursors.append(arguments.get("cursor"))
        return self.pages.pop(0) if self.pages else {"items": [{"n": 0}], "cursor": f"c{len(self.cursors)}"}


def test_every_page_is_read_with_the_cursor_of_the_one_before() -> None:
    client = Client({"items": [{"n": 1}], "cursor": "a"}, {"items": [{"n": 2}], "cursor": ""})
    assert list(paged(client, "get", "items", seconds=60)) == [{"n": 1}, {"n": 2}]
    assert client.cursors == [None, "a"]


def test_pages_that_never_end_are_an_error_after_the_most_that_any_list_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coinbase_pages, "MOST_PAGES", 7)
    client = Client()
    with pytest.raises(VenueReadError, match="more than 7 pages"):
        list(paged(client, "get", "items"))
    assert len(client.cursors) == 7


def test_pages_that_do_not_end_in_time_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    monkeypatch.setattr(coinbase_pages.time, "monotonic", lambda: float(next(ticks)))
    client = Client()
    with pytest.raises(VenueReadError, match="did not end within 3 s") as raised:
        list(paged(client, "get", "items", seconds=3))
    assert raised.value.transient
    assert len(client.cursors) == 3
