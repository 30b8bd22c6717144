"""One cycle an account: taken, busy, given back by a holder that was killed, and never silently without a limit."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from ffe.errors import AccountBusyError, LimitUnavailableError
from tasks import holders, limits
from tasks.limits import account_limits, ensure_limits, limit_name

HOLD = """
import asyncio, sys
from pathlib import Path
from tasks.limits import account_limits

async def hold():
    async with account_limits([sys.argv[1]], Path(sys.argv[2])):
        print("held", flush=True)
        await asyncio.sleep(120)

asyncio.run(hold())
"""


@contextmanager
def holder(venue: str, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the account; killed at the end at the latest."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, venue, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def slots(name: str) -> int:
    async with get_client() as client:
        return (await client.read_global_concurrency_limit_by_name(name)).active_slots


@pytest.fixture(autouse=True)
def _api(prefect_api: str) -> None:
    assert prefect_api


async def test_a_missing_limit_is_made_and_taken_and_given_back(tmp_path: Path) -> None:
    name = limit_name("nowhere-yet")
    async with get_client() as client:
        with pytest.raises(ObjectNotFound):
            await client.read_global_concurrency_limit_by_name(name)
    async with account_limits(["nowhere-yet"], tmp_path):
        assert await slots(name) == 1
    assert await slots(name) == 0


async def test_a_second_cycle_of_an_account_is_refused_at_once_and_another_account_is_not(tmp_path: Path) -> None:
    async with account_limits(["coinbase"], tmp_path / "one"):
        with pytest.raises(AccountBusyError, match="cycle-coinbase") as refused:
            async with account_limits(["oanda", "coinbase"], tmp_path / "two"):
                pytest.fail("two cycles hold one account")
        assert refused.value.limits == ("cycle-coinbase", "cycle-oanda")
        async with account_limits(["oanda"], tmp_path / "two"):
            assert await slots("cycle-oanda") == 1
    assert await slots("cycle-oanda") == 0


async def test_two_cycles_of_one_data_folder_are_told_apart_before_the_api_is_asked(tmp_path: Path) -> None:
    async with account_limits(["coinbase"], tmp_path):
        with pytest.raises(AccountBusyError, match="on this machine"):
            async with account_limits(["coinbase"], tmp_path):
                pytest.fail("two cycles hold one account")


async def test_the_account_of_a_killed_cycle_is_free_at_once_for_the_same_data_folder(tmp_path: Path) -> None:
    with holder("coinbase", tmp_path) as process:
        with pytest.raises(AccountBusyError):
            async with account_limits(["coinbase"], tmp_path):
                pytest.fail("two cycles hold one account")
        process.kill()
        process.wait()
        assert await slots("cycle-coinbase") == 1
        async with account_limits(["coinbase"], tmp_path):
            assert await slots("cycle-coinbase") == 1
    assert await slots("cycle-coinbase") == 0


async def test_the_account_of_a_cycle_killed_elsewhere_stays_taken_until_its_lease_is_over(tmp_path: Path) -> None:
    with holder("oanda", tmp_path / "elsewhere") as process:
        process.kill()
        process.wait()
        with pytest.raises(AccountBusyError, match="another cycle holds cycle-oanda"):
            async with account_limits(["oanda"], tmp_path):
                pytest.fail("the lease of an unknown holder was broken")
    async with account_limits(["oanda"], tmp_path / "elsewhere"):
        assert await slots("cycle-oanda") == 1


async def test_the_same_path_of_the_same_hostname_on_another_volume_is_another_holder(tmp_path: Path) -> None:
    folder, first = tmp_path / "data", tmp_path / "the-first-volume"
    with holder("volumes", folder):
        folder.rename(first)
        with pytest.raises(AccountBusyError, match="another cycle holds cycle-volumes"):
            async with account_limits(["volumes"], folder):
                pytest.fail("the slot of a running cycle was taken")
        assert await slots("cycle-volumes") == 1


async def test_a_holder_that_has_not_said_so_yet_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one to say so was this folder's; the slot is taken by another machine, which says so in the next moment."""
    async with account_limits(["coinbase"], tmp_path):
        pass
    async with account_limits(["coinbase"], tmp_path / "elsewhere"):
        async with get_client() as client:
            await holders.say(client, "cycle-coinbase", tmp_path)

            async def said_meanwhile(seconds: float) -> None:
                await holders.say(client, "cycle-coinbase", tmp_path / "elsewhere")

            monkeypatch.setattr("tasks.holders.asyncio.sleep", said_meanwhile)
            assert not await holders.free_if_gone(client, "cycle-coinbase", tmp_path)
        monkeypatch.undo()


async def test_no_account_asks_for_nothing(tmp_path: Path) -> None:
    async with account_limits([], tmp_path):
        assert not list((tmp_path / holders.FOLDER).iterdir())


async def test_a_limit_that_lets_two_in_is_narrowed_and_one_of_zero_is_kept(tmp_path: Path) -> None:
    name = limit_name("widened")
    await ensure_limits([name])
    async with get_client() as client:
        for change in (GlobalConcurrencyLimitUpdate(limit=5), GlobalConcurrencyLimitUpdate(active=False)):
            await client.update_global_concurrency_limit(name, change)
            (limit,) = await ensure_limits([name])
            assert (limit.limit, limit.active) == (1, True)
        await client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(limit=0))
    with pytest.raises(AccountBusyError, match="cycle-widened"):
        async with account_limits(["widened"], tmp_path):
            pytest.fail("a person keeps cycles away")


async def test_without_an_answer_nothing_is_traded(tmp_path: Path) -> None:
    nobody = temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0})
    with nobody, pytest.raises(LimitUnavailableError, match="cycle-coinbase"):
        async with account_limits(["coinbase"], tmp_path):
            pytest.fail("nobody said that the account is free")


async def test_a_data_folder_that_cannot_be_written_is_no_permission(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file is in the way")
    with pytest.raises(LimitUnavailableError):
        async with account_limits(["coinbase"], tmp_path):
            pytest.fail("nobody said that the account is free")


class Refused:
    """Prefect's `concurrency`, refused by the API."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause

    async def __aenter__(self) -> None:
        raise ConcurrencySlotAcquisitionError("refused") from self.cause

    async def __aexit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "expected"), [(423, AccountBusyError), (500, LimitUnavailableError), (None, LimitUnavailableError)]
)
async def test_the_api_decides_between_two_that_saw_a_free_slot(
    status: int | None, expected: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = httpx.Request("POST", "http://127.0.0.1/api")
    cause = (
        ValueError("unreadable")
        if status is None
        else httpx.HTTPStatusError("refused", request=request, response=httpx.Response(status, request=request))
    )
    monkeypatch.setattr(limits, "concurrency", lambda *_, **__: Refused(cause))
    with pytest.raises(expected):
        async with account_limits(["coinbase"], tmp_path):
            pytest.fail("the API refused")


class Faster:
    """A client whose reads find nothing until somebody else has made it."""

    def __init__(self, client: Any) -> None:
        self._client, self._asked = client, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def read_global_concurrency_limit_by_name(self, name: str) -> GlobalConcurrencyLimitResponse:
        self._asked += 1
        if self._asked == 1:
            await limits._ensure_limit(self._client, name)
            raise ObjectNotFound(http_exc=Exception())
        limit: GlobalConcurrencyLimitResponse = await self._client.read_global_concurrency_limit_by_name(name)
        return limit

    async def read_variable_by_name(self, name: str) -> None:
        return None


async def test_a_limit_and_a_holder_that_another_cycle_makes_first_are_taken_as_they_are(tmp_path: Path) -> None:
    async with get_client() as client:
        limit = await limits._ensure_limit(Faster(client), "cycle-raced")  # type: ignore[arg-type]
        assert limit.limit == 1
        await holders.say(client, "cycle-raced", tmp_path)
        await holders.say(Faster(client), "cycle-raced", tmp_path / "two")  # type: ignore[arg-type]
        said = await client.read_variable_by_name("cycle_raced_holder")
        assert said is not None
        assert str(tmp_path / "two") in str(said.value)


async def test_the_folder_is_the_engines_when_none_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Engine:
        class settings:
            data_dir = tmp_path

    monkeypatch.setattr("tasks.limits.runtime.engine", Engine)
    async with account_limits(["coinbase"]):
        assert (tmp_path / "locks" / "cycle-coinbase.lock").exists()
