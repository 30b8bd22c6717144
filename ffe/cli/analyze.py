"""`ffe analyze`: bars, quality, pulse and decision of one instrument. There is no way from here to an order."""

import json
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.text import Text

from ffe.cli.listing import venues
from ffe.cli.options import BarsOption, JsonOption, ModelOption, ModeOption, StaleOption, TimeframeOption, settings_from
from ffe.cli.pulse_table import print_pulse
from ffe.cli.tables import console
from ffe.cycle import bars as bar_steps
from ffe.cycle import report, steps
from ffe.cycle.engine import Engine
from ffe.decision.models import Decision
from ffe.decision.prompt import case_text
from ffe.ledger.cycles import ANALYSIS
from ffe.llm.factory import check_model_file
from ffe.market.models import Instrument


def analyze(
    instrument: Annotated[str, typer.Argument(help="BTCUSD, BTC-USD, EUR_USD ...")],
    show_pulse: Annotated[bool, typer.Option("--show-pulse", help="Indicators of every timeframe.")] = False,
    timeframe: TimeframeOption = None,
    mode: ModeOption = None,
    model: ModelOption = None,
    bars: BarsOption = None,
    stale_minutes: StaleOption = None,
    as_json: JsonOption = False,
) -> None:
    """Looks at one instrument and asks the model; never an order."""
    settings = settings_from(
        instruments=[instrument], timeframe=timeframe, mode=mode, model=model, bars=bars, stale_minutes=stale_minutes
    )
    check_model_file(settings)
    with venues(settings) as engine:
        document = _analysis(engine, settings.instruments[0])
    if as_json:
        print(json.dumps(document))
    else:
        _print(document, show_pulse=show_pulse)


def _analysis(engine: Engine, instrument: Instrument) -> dict[str, Any]:
    from expectations.validate import validate_bars

    cycle = steps.Cycle(id=f"{ANALYSIS}{uuid4().hex}", timeframe=engine.settings.timeframe)
    engine.ledger.start_cycle(cycle.id, engine.settings.mode.value, cycle.timeframe.value, engine.clock.now())
    document: dict[str, Any] = {"instrument": instrument.symbol, "timeframe": cycle.timeframe.value, "pulse": []}
    hold = steps.closed_market(engine, cycle, instrument)
    if hold is not None:
        return _finished(engine, cycle, document | {"quality": None}, hold)
    batch = bar_steps.fetch_batch(engine, instrument, cycle.timeframe)
    checked = steps.check_batch(engine, cycle, batch, validate_bars, bar_steps.fetch_frames(engine, batch))
    quality = report.quality_summary(checked.report, checked.freshness, batch)
    document |= {
        "bar_close": batch.bar_close.isoformat(),
        "bars": {"rows": batch.rows, "sha256": batch.id, "source": batch.source},
        "answers": [answer.model_dump(mode="json") for answer in batch.answers],
        "age_seconds": checked.freshness.age_seconds,
        "limit_seconds": checked.freshness.limit_seconds,
        "quality": None if quality is None else quality.model_dump(mode="json"),
    }
    if checked.context is None:
        return _finished(engine, cycle, document, checked.hold)
    document |= {
        "last_close": str(checked.context.last_close),
        "pulse": [frame.model_dump(mode="json") for frame in checked.context.pulse],
        "consensus": checked.context.consensus,
        "case": case_text(checked.context),
    }
    verdict = steps.ask_model(engine, cycle.id, checked.context)
    decision = steps.decide(engine, cycle, checked.context, verdict)
    return _finished(engine, cycle, document, decision)


def _finished(
    engine: Engine, cycle: steps.Cycle, document: dict[str, Any], decision: Decision | None
) -> dict[str, Any]:
    document = document | {"decision": None if decision is None else report.decision_summary(decision)}
    engine.ledger.finish_cycle(cycle.id, engine.clock.now(), {"analysis": document})
    return document


def _print(document: dict[str, Any], *, show_pulse: bool) -> None:
    out, decision, quality = console(), document["decision"], document["quality"]
    out.print(Text(f"{document['instrument']} at {document['timeframe']}", style="bold"))
    if quality is not None:
        head = f"bars: {document['bars']['rows']} from {document['bars']['source']}, {_age(document)}"
        out.print(Text(head), soft_wrap=True)
        for line in (*quality["critical"], *quality["warnings"]):
            out.print(Text(f"  {line}"), soft_wrap=True)
        out.print(Text(f"quality: {'passed' if quality['passed'] else 'failed'}"))
    if show_pulse and document["pulse"]:
        print_pulse(out, document["pulse"], document["consensus"])
        out.print(Text(f"the model reads: {document['case']}"))
    head = f"{decision['action']} at {decision['confidence']} by {decision['decided_by']} ({decision['reason_code']})"
    out.print(Text(f"decision: {head}: {decision['reasoning']}"), soft_wrap=True)
    for vote in decision.get("votes") or ():
        said = vote["error"] if vote["action"] is None else f"{vote['action']} at {vote['confidence']}"
        out.print(Text(f"  {vote['member']}: {said}"), soft_wrap=True)


def _age(document: dict[str, Any]) -> str:
    limit = document["limit_seconds"]
    return f"age {document['age_seconds']:.0f} s" + (", no time limit" if limit is None else f" of {limit:.0f} s")
