"""The ordered fallback: who is asked, what is kept of what they said, and that a bar is never made up."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from ffe.clock import FixedClock
from ffe.errors import (
    DataError,
    NoSourceError,
    NotOfferedError,
    PermanentSourceError,
    SourceSkippedError,
    TransientSourceError,
    VenueReadError,
)
from ffe.ledger.ledger import Ledger
from ffe.market.models import Instrument, Timeframe, parse_instrument
from ffe.settings import SourcesSettings
from ffe.sources.allowance import Allowance, current
from ffe.sources.chain import Fetched, SourceChain
from ffe.sources.health import Circuit, SourceState
from ffe.sources.models import BAR_SCHEMA, Outcome, SourceAnswer
from ffe.sources.protocol import BarSource

START = datetime(2024, 1, 31, 22, 0, tzinfo=UTC)
BTCUSD = parse_instrument("BTCUSD")
DOWN = TransientSourceError("503 from the venue")


@dataclass
class Fake:
    """Answers with a table, or raises what it holds; `seen` are the allowances under which it was asked."""

    name: str
    answer: pa.Table | Exception
    seen: list[Allowance] = field(default_factory=list)
    closed: bool = False

    def fetch(self, instrument: Instrument, timeframe: Timeframe, start: datetime, end: datetime) -> pa.Table:
        self.seen.append(current())
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        self.closed = True


class Bench:
    def __init__(self, ledger: Ledger, bars: pa.Table) -> None:
        self.ledger, self.clock = ledger, FixedClock(START)
        self.first, self.second = Fake("coinbase", bars), Fake("alpha-vantage", bars)
        self.settings = SourcesSettings()

    def chain(self, *sources: BarSource, missing: tuple[SourceAnswer, ...] = (), feed: str = "sim") -> SourceChain:
        asked = sources or (self.first, self.second)
        return SourceChain(asked, self.ledger, self.clock, self.settings, missing=missing, feed=feed)

    def fetch(self, only: str | None = None) -> Fetched:
        return self.chain().fetch(BTCUSD, Timeframe.M5, START, START + timedelta(hours=1), only=only)

    def refused(self, only: str | None = None) -> NoSourceError:
        with pytest.raises(NoSourceError) as caught:
            self.fetch(only)
        return caught.value

    def state(self, name: str = "coinbase") -> SourceState:
        (found,) = [each for each in self.ledger.source_states("sim", self.clock.now()) if each.source == name]
        return found


@pytest.fixture
def bench(ledger: Ledger, make_bars: Callable[..., pa.Table]) -> Bench:
    return Bench(ledger, make_bars([0, 1, 2]))


def outcomes(fetched: Fetched) -> list[tuple[str, str]]:
    return [(answer.source, answer.outcome.value) for answer in fetched.answers]


def test_the_first_source_that_has_bars_answers_and_the_next_is_not_asked(bench: Bench) -> None:
    fetched = bench.fetch()
    assert (fetched.source, fetched.table.num_rows) == ("coinbase", 3)
    (answer,) = fetched.answers
    assert (answer.outcome, answer.rows, answer.at, answer.error) == (Outcome.ANSWERED, 3, START, None)
    assert bench.second.seen == []
    assert bench.state().today.answered == 1


def test_where_the_first_fails_the_next_answers_and_both_are_on_record(bench: Bench) -> None:
    bench.first.answer = DOWN
    fetched = bench.fetch()
    assert fetched.source == "alpha-vantage"
    assert fetched.table is bench.second.answer, "its own bars, of nobody else and not touched"
    assert outcomes(fetched) == [("coinbase", "failed"), ("alpha-vantage", "answered")]
    failed = fetched.answers[0]
    assert (failed.error, failed.message) == ("TransientSourceError", "503 from the venue")
    assert failed.chain is not None
    assert "Traceback" in failed.chain


def test_the_chain_of_causes_is_kept_with_secrets_masked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_COINBASE__API_KEY", "organizations/secret-canary")
    error = PermanentSourceError("key organizations/secret-canary refused")
    error.__cause__ = VenueReadError("GET /candles?token=abcdef123456 gave 401")
    bench.first.answer = error
    failed = bench.fetch().answers[0]
    assert failed.chain is not None
    assert "VenueReadError: GET /candles?token=<masked> gave 401" in failed.chain
    assert "secret-canary" not in failed.model_dump_json()
    assert "secret-canary" not in str(bench.state().health.last_error)


def test_what_is_hung_on_the_error_for_others_to_print_holds_no_secret(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFE_COINBASE__API_KEY", "organizations/secret-canary")
    bench.first.answer = TransientSourceError("busy")
    bench.first.answer.__cause__ = ExceptionGroup("both", [VenueReadError("organizations/secret-canary gave 401")])
    bench.second.answer = ValueError("organizations/secret-canary is odd")
    error = bench.refused()
    assert isinstance(error.__cause__, ExceptionGroup)
    assert [type(each) for each in error.__cause__.exceptions] == [TransientSourceError, PermanentSourceError]
    printed = "".join(traceback.format_exception(error))
    assert "secret-canary" not in printed
    assert "VenueReadError: <masked> gave 401" in printed, "what is left of it is still told"
    assert "ValueError: <masked> is odd" in printed


def test_an_empty_table_is_no_answer_and_no_sign_of_bad_health(bench: Bench) -> None:
    bench.first.answer = BAR_SCHEMA.empty_table()
    for _ in range(6):
        fetched = bench.fetch()
    assert outcomes(fetched) == [("coinbase", "failed"), ("alpha-vantage", "answered")]
    assert "coinbase has no complete bar among the 5m bars of BTCUSD" in str(fetched.answers[0].message)
    assert (bench.state().circuit, bench.state().health.failures) == (Circuit.CLOSED, 0)


def test_without_any_bar_every_source_is_named_and_every_traceback_is_printed(bench: Bench) -> None:
    bench.first.answer, bench.second.answer = DOWN, PermanentSourceError("no plan for this")
    error = bench.refused()
    assert "no source has 5m bars of BTCUSD" in str(error)
    assert "coinbase failed: 503 from the venue" in str(error)
    assert "alpha-vantage failed: no plan for this" in str(error)
    assert isinstance(error.__cause__, ExceptionGroup)
    assert error.__cause__.exceptions == (bench.first.answer, bench.second.answer)
    printed = "".join(traceback.format_exception(error))
    assert "TransientSourceError: 503 from the venue" in printed
    assert "PermanentSourceError: no plan for this" in printed
    assert printed.count("self.answer") >= 2, "each one's own traceback"


@pytest.mark.parametrize(
    ("first", "transient"),
    [(DOWN, True), (PermanentSourceError("gone"), False), (NotOfferedError("no such pair"), False)],
)
def test_another_try_is_worth_it_when_one_source_may_heal(bench: Bench, first: Exception, *, transient: bool) -> None:
    bench.first.answer, bench.second.answer = first, PermanentSourceError("no plan for this")
    assert bench.refused().transient is transient


def test_a_bug_in_one_source_does_not_take_the_next_ones_bars_away(bench: Bench) -> None:
    bench.first.answer = KeyError("candles")
    fetched = bench.fetch()
    assert fetched.source == "alpha-vantage"
    assert "coinbase 5m bars of BTCUSD: KeyError: 'candles'" in str(fetched.answers[0].message)
    bench.first.answer = DataError("the store cannot be read")
    assert "DataError: the store cannot be read" in str(bench.fetch().answers[0].message)


def test_five_failures_in_a_row_leave_the_source_alone_until_one_trial_succeeds(bench: Bench) -> None:
    bars, bench.first.answer = bench.first.answer, DOWN
    for _ in range(5):
        assert outcomes(bench.fetch())[0] == ("coinbase", "failed")
    skipped = bench.fetch()
    assert outcomes(skipped) == [("coinbase", "skipped"), ("alpha-vantage", "answered")]
    assert "circuit open until" in str(skipped.answers[0].message)
    assert len(bench.first.seen) == 5
    bench.clock.advance(timedelta(seconds=30))
    assert outcomes(bench.fetch())[0] == ("coinbase", "failed"), "the trial"
    bench.clock.advance(timedelta(seconds=59))
    assert outcomes(bench.fetch())[0] == ("coinbase", "skipped"), "twice as long"
    bench.clock.advance(timedelta(seconds=1))
    bench.first.answer = bars
    assert outcomes(bench.fetch()) == [("coinbase", "answered")]
    assert (bench.state().circuit, bench.state().health.failures) == (Circuit.CLOSED, 0)


def test_what_a_source_does_not_offer_is_no_sign_of_bad_health(bench: Bench) -> None:
    bench.first.answer = NotOfferedError("coinbase has no DOGEUSD")
    for _ in range(6):
        assert outcomes(bench.fetch())[0] == ("coinbase", "failed")
    assert bench.state().health.last_error == "coinbase has no DOGEUSD"


def test_a_spent_budget_is_a_skip(bench: Bench) -> None:
    bench.first.answer, bench.second.answer = DOWN, SourceSkippedError("request budget spent: 25 of 25 used")
    error = bench.refused()
    assert "alpha-vantage skipped: request budget spent: 25 of 25 used" in str(error)
    assert bench.state("alpha-vantage").today.skipped == 1
    assert bench.state("alpha-vantage").health.failures == 0


def test_a_drill_in_sim_does_not_stop_paper(bench: Bench) -> None:
    bench.first.answer = DOWN
    for _ in range(5):
        bench.fetch()
    paper = bench.chain(feed="paper").fetch(BTCUSD, Timeframe.M5, START, START)
    assert outcomes(paper)[0] == ("coinbase", "failed"), "asked, where sim would skip it"


def test_no_source_is_started_after_the_deadline(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.settings = SourcesSettings(deadline_seconds=0.05)

    def slow(*_: object) -> pa.Table:
        time.sleep(0.1)
        raise DOWN

    monkeypatch.setattr(bench.first, "fetch", slow)
    error = bench.refused()
    assert "alpha-vantage skipped: the deadline of 0.05 s is over" in str(error)
    assert bench.second.seen == []


def test_the_time_that_is_left_and_the_share_are_handed_down(bench: Bench) -> None:
    bench.first.answer = DOWN
    before = time.monotonic()
    bench.chain().fetch(BTCUSD, Timeframe.M5, START, START, share=0.5)
    (allowance,) = bench.second.seen
    assert before + 30 <= allowance.until <= time.monotonic() + 30
    assert allowance.share == 0.5
    assert current().share == 1, "gone with the fetch"


def test_one_source_alone_may_be_asked(bench: Bench) -> None:
    assert bench.fetch(only="alpha-vantage").source == "alpha-vantage"
    assert bench.first.seen == []
    bench.second.answer = DOWN
    assert str(bench.refused("alpha-vantage")).startswith(
        "alpha-vantage does not have 5m bars of BTCUSD: alpha-vantage failed"
    )
    nobody = bench.refused("kraken")
    assert str(nobody) == "kraken does not have 5m bars of BTCUSD: nobody to ask"
    assert nobody.__cause__ is None


def test_sources_that_are_not_set_up_are_reported_with_every_fetch(bench: Bench) -> None:
    missing = SourceAnswer(
        source="alpha-vantage",
        outcome=Outcome.SKIPPED,
        at=START,
        error="MissingCredentialsError",
        message="set the key",
    )
    bench.clock.advance(timedelta(hours=1))
    chain = bench.chain(bench.first, missing=(missing,))
    fetched = chain.fetch(BTCUSD, Timeframe.M5, START, START)
    assert outcomes(fetched) == [("alpha-vantage", "skipped"), ("coinbase", "answered")]
    assert fetched.answers[0].at == START + timedelta(hours=1)
    bench.first.answer = DOWN
    with pytest.raises(NoSourceError, match="alpha-vantage skipped: set the key; coinbase failed: 503"):
        chain.fetch(BTCUSD, Timeframe.M5, START, START)
    with pytest.raises(NoSourceError, match="set the key"):
        chain.fetch(BTCUSD, Timeframe.M5, START, START, only="alpha-vantage")
    with pytest.raises(
        NoSourceError, match=r"^coinbase does not have 5m bars of BTCUSD: coinbase failed: 503 from the venue$"
    ):
        chain.fetch(BTCUSD, Timeframe.M5, START, START, only="coinbase")


def test_closing_the_chain_closes_its_sources(bench: Bench) -> None:
    bench.chain().close()
    assert (bench.first.closed, bench.second.closed) == (True, True)
