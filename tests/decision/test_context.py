"""The context holds exactly what its batch of bars says, and refuses to be made from anything else."""

from decimal import Decimal

import pytest

from ffe.decision.context import build_context
from ffe.decision.models import Context
from ffe.errors import DataError
from ffe.market.models import Timeframe
from ffe.market.pulse import consensus, pulse
from ffe.market.quality import Finding, Severity
from ffe.sources.models import to_frame

WARNING = Finding(check="spike", severity=Severity.WARNING, message="one bar moved 13 times the usual")
INFO = Finding(check="zero_volume", severity=Severity.INFO, message="3 bars")


def test_a_context_quotes_its_batch_exactly(minutes, batch, report):
    table = minutes["BTCUSD"].slice(0, 200)
    of_table = batch(table, "BTCUSD", Timeframe.M1)
    frames = pulse({Timeframe.M1: to_frame(table)}, Timeframe.M1)

    context = build_context(of_table, table, report(of_table, WARNING, INFO), frames, consensus(frames))

    closes = table.column("close").to_pylist()
    assert context.recent_closes == tuple(closes[-8:])
    assert context.last_close == closes[-1]
    assert len(str(context.last_close)) < 12
    assert context.bar_close == of_table.bar_close
    assert context.batch_id == of_table.id
    assert context.quality_report_id == "q1"
    assert context.atr == pytest.approx(Decimal(str(frames[0].atr)), abs=Decimal("1e-10"))
    assert context.warnings == ("spike: one bar moved 13 times the usual",)


def test_a_context_survives_its_own_json(context):
    assert Context.model_validate_json(context.model_dump_json()) == context


def test_fewer_bars_than_recent_closes_give_what_there_is(minutes, batch, report, context):
    table = minutes["BTCUSD"].slice(0, 3)
    of_table = batch(table, "BTCUSD", Timeframe.M1)

    assert len(build_context(of_table, table, report(of_table), context.pulse, "").recent_closes) == 3


def test_a_report_on_another_batch_is_refused(minutes, batch, report, context):
    table = minutes["BTCUSD"].slice(0, 200)
    of_table = batch(table, "BTCUSD", Timeframe.M1)
    other = report(of_table).model_copy(update={"batch_id": "x"})

    with pytest.raises(DataError, match="is about batch x"):
        build_context(of_table, table, other, context.pulse, "")


def test_no_bars_no_base_frame_and_no_atr_are_refused(minutes, batch, report, context):
    table = minutes["BTCUSD"].slice(0, 200)
    of_table = batch(table, "BTCUSD", Timeframe.M1)
    blind = context.pulse[0].model_copy(update={"atr": None, "partial": "9 bars; ATR needs 15"})

    with pytest.raises(DataError, match="has no bars"):
        build_context(of_table, table.slice(0, 0), report(of_table), context.pulse, "")
    with pytest.raises(DataError, match="base frame is missing"):
        build_context(of_table, table, report(of_table), context.pulse[1:], "")
    with pytest.raises(DataError, match="9 bars; ATR needs 15"):
        build_context(of_table, table, report(of_table), (blind,), "")
    with pytest.raises(DataError, match="200 bars"):
        build_context(of_table, table, report(of_table), (blind.model_copy(update={"partial": None}),), "")
