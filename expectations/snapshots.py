"""Every suite as JSON, to be reviewed like code: `python -m expectations.snapshots` writes `snapshots/<suite>.json` anew.

A test holds the files against the code. What a run fills in is spelt as a word: the moment, and the references to other sources. A
family is shown with its first timeframe, forex with the venue's quotes.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from expectations.families import FAMILIES, Family
from expectations.validate import load_suites
from ffe.market.calendar import calendar_for
from ffe.market.models import AssetClass, parse_instrument
from ffe.market.quality import Reference
from ffe.sources.models import BAR_SCHEMA, QUOTED_BAR_SCHEMA

FOLDER = Path(__file__).parent / "snapshots"
EXAMPLES = {AssetClass.CRYPTO: ("BTCUSD", BAR_SCHEMA), AssetClass.FOREX: ("EURUSD", QUOTED_BAR_SCHEMA)}
_MOMENT = datetime(2000, 1, 3, tzinfo=UTC)
_NORMALISED = {"now": "<now>", "references": "<closes of other sources>", "timeframe": "<timeframe>"}


def snapshots() -> dict[str, str]:
    """JSON text of each suite by its name."""
    made = {}
    for family in FAMILIES:
        for asset_class in EXAMPLES:
            suite = _suite(family, asset_class)
            made[suite["name"]] = json.dumps(suite, indent=2, sort_keys=True) + "\n"
    return made


def _suite(family: Family, asset_class: AssetClass) -> dict[str, Any]:
    symbol, schema = EXAMPLES[asset_class]
    instrument = parse_instrument(symbol)
    suites = load_suites()
    reference = Reference(source="another", open=_MOMENT, close=Decimal(1))
    judged = suites.Judged(
        instrument, family.timeframes[0], tuple(schema.names), _MOMENT, calendar_for(instrument).name, (reference,)
    )
    suite: dict[str, Any] = suites.bar_suite(judged).to_json_dict()
    return {
        "name": suite["name"],
        "timeframes": [timeframe.value for timeframe in family.timeframes],
        "expectations": [_expectation(each) for each in suite["expectations"]],
    }


def _expectation(stored: dict[str, Any]) -> dict[str, Any]:
    kwargs = {name: _NORMALISED.get(name, value) for name, value in stored["kwargs"].items()}
    return {"type": stored["type"], "check": stored["meta"]["check"], "severity": stored["severity"], "kwargs": kwargs}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    texts = snapshots()
    for path in FOLDER.glob("*.json"):
        if path.stem not in texts:
            path.unlink()
    for name, text in texts.items():
        (FOLDER / f"{name}.json").write_text(text)
        print(f"{name}.json: {text.count(chr(10))} lines")


if __name__ == "__main__":
    main()
