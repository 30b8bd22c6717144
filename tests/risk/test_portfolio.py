"""What the account holds, added up."""

from types import SimpleNamespace


def test_notionals_add_up_gross_and_by_instrument(make: SimpleNamespace) -> None:
    held = (make.holding("EURUSD", 5000, 6000), make.holding("USDJPY", -1000, 1000), make.holding("EURUSD", 1, 2))
    book = make.portfolio(positions=held)
    assert (book.gross, book.notional_of("EURUSD"), book.notional_of("GBPUSD")) == (7002, 6002, 0)
    assert (make.portfolio().gross, make.portfolio().last_trade("EURUSD")) == (0, None)


def test_the_last_trade_is_the_newest_one_in_its_instrument(make: SimpleNamespace) -> None:
    newest, wanted, older = make.trade("ETHUSD", ago=1), make.trade(ago=2), make.trade(ago=3)
    assert make.portfolio(trades=(newest, wanted, older)).last_trade("BTCUSD") is wanted


def test_a_position_risks_up_to_its_stop_or_all_of_it(make: SimpleNamespace) -> None:
    assert make.holding(notional=2500, at_risk=25).at_risk == 25
    assert make.holding(notional=2500, at_risk=None).at_risk == 2500
