"""The rules that a replay trades under: the account's own, else the published ones; and a feed without costs."""

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from benchmarks.generated_bars import generated
from ffe.market.models import INSTRUMENTS, Timeframe, parse_instrument
from ffe.replay.bars import on_grid
from ffe.replay.models import ASK, BID, Feed, Gate
from ffe.replay.specs import free_of_costs, spec_for
from ffe.settings import Settings
from ffe.venues.models import InstrumentSpec
from simulator.instruments import forex_pairs, products

SETTINGS = Settings(_env_file=None)


@pytest.mark.parametrize("symbol", ["EURUSD", "GBPUSD", "USDJPY", "EURGBP"])
def test_forex_has_the_published_rules_that_the_simulated_venue_has(symbol: str) -> None:
    instrument = parse_instrument(symbol)
    spec, (pair,) = spec_for(instrument, SETTINGS), forex_pairs([symbol]).values()
    assert (spec.instrument, spec.venue) == (symbol, "oanda")
    assert spec.price_increment == pair.tick
    assert spec.margin_rate == pair.margin_rate
    assert spec.pip == Decimal(1).scaleb(pair.pip_location)
    assert spec.min_trailing_distance == pair.min_trailing
    assert spec.max_size == pair.max_units
    assert (spec.min_size, spec.size_increment, spec.taker_fee_rate) == (1, 1, 0)


@pytest.mark.parametrize("symbol", ["BTCUSD", "ETHUSD"])
def test_crypto_has_the_published_rules_and_the_fee_of_the_settings(symbol: str) -> None:
    settings = Settings(_env_file=None, replay={"crypto_fee_rate": "0.004"})
    spec, (product,) = spec_for(parse_instrument(symbol), settings), products([symbol]).values()
    assert (spec.instrument, spec.venue, spec.margin_rate) == (symbol, "coinbase", None)
    assert spec.price_increment == product.price_increment
    assert (spec.size_increment, spec.min_size) == (product.base_increment, product.base_min)
    assert (spec.min_notional, spec.max_notional) == (product.quote_min, product.quote_max)
    assert spec.taker_fee_rate == Decimal("0.004")


def test_a_coin_of_less_than_a_cent_is_traded_on_the_grid_of_its_prices() -> None:
    doge, btc = parse_instrument("DOGEUSD"), parse_instrument("BTCUSD")
    assert spec_for(doge, SETTINGS, places=5).price_increment == Decimal("0.00001")
    assert spec_for(btc, SETTINGS, places=0).price_increment == Decimal("0.01")


def test_every_instrument_can_be_traded_by_some_rules() -> None:
    for instrument in INSTRUMENTS.values():
        spec = spec_for(instrument, SETTINGS)
        assert spec.tradeable
        assert spec.venue == instrument.venue


def test_what_the_ledger_recorded_of_the_account_comes_first() -> None:
    recorded = spec_for(parse_instrument("BTCUSD"), SETTINGS).model_copy(
        update={
            "taker_fee_rate": Decimal("0.0025"),
            "tradeable": False,
            "status": "cancel-only",
            "fetched_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
    )
    spec = spec_for(parse_instrument("BTCUSD"), SETTINGS, recorded)
    assert isinstance(spec, InstrumentSpec)
    assert spec.taker_fee_rate == Decimal("0.0025")
    # That it was halted when it was last read says nothing of the past.
    assert spec.tradeable


@pytest.mark.parametrize("symbol", ["BTCUSD", "EURUSD"])
def test_without_costs_everything_trades_at_the_middle(symbol: str) -> None:
    instrument = parse_instrument(symbol)
    bars = generated(instrument, Timeframe.H1, 100, seed=8)
    feed = Feed(bars, spec_for(instrument, SETTINGS), np.full(100, Gate.PASSED, np.int8))
    free = free_of_costs(feed)
    assert free.bars.bid.tolist() == free.bars.ask.tolist() == bars.mid.tolist()
    assert free.bars.after[:, BID].tolist() == free.bars.after[:, ASK].tolist()
    np.testing.assert_allclose(free.bars.after[:, BID], bars.after.mean(axis=1), rtol=1e-12)
    assert on_grid(free.bars.bid, free.bars.places).all()
    assert on_grid(free.bars.after, free.bars.places).all()
    assert free.spec.taker_fee_rate == 0
    assert free.spec.price_increment == Decimal(1).scaleb(-free.bars.places)
    assert free.bars.sha256 != bars.sha256
    assert free.gates is feed.gates
