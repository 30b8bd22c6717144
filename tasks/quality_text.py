"""The words and tables of the quality artifacts, from the records alone."""

import base64
import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from ffe.decision.models import Decision
from ffe.market.pass_rate import pass_rates
from ffe.market.quality import Finding, QualityPoint, QualityReport
from ffe.money import plain
from ffe.observe.masking import masked
from ffe.risk.models import Sizing
from ffe.sources.models import BarBatch

_ENTITIES = str.maketrans({mark: f"&#{ord(mark)};" for mark in "&<>[]!`|\\*~"})
# Between letters and digits an underscore marks nothing (CommonMark, section 6.2), and Prefect shows its entity as it is written.
_UNDERSCORES = re.compile(r"(?<![A-Za-z0-9_])_+|_+(?![A-Za-z0-9_])")

Judged = tuple[BarBatch, QualityReport]


def key(kind: str, batch: BarBatch) -> str:
    """Artifact key with a history of its own for each instrument and timeframe."""
    return f"{kind}-{batch.instrument.symbol}-{batch.timeframe.value}".lower()


def verdict(batch: BarBatch, report: QualityReport, page: str | None = None) -> str:
    """`BTCUSD 5m from coinbase: passed, 23 checks, 0 critical, 1 warning, 20 s old`, and where the page is."""
    warnings = len(report.warnings)
    parts = [
        "passed" if report.passed else "failed",
        f"{report.checks} checks",
        f"{len(report.critical)} critical",
        f"{warnings} warning{'' if warnings == 1 else 's'}",
    ]
    if report.freshness is not None:
        parts.append(f"{report.freshness.age_seconds:.0f} s old")
    if page is not None:
        parts.append(shown(page))
    return f"{_name(batch)} from {batch.source}: {', '.join(parts)}"


def failing_rows(judged: Sequence[Judged]) -> list[dict[str, str]]:
    """One line for each failed check and example row; a batch without findings has one line that says so."""
    return [line for batch, report in judged for line in _lines(batch, report)]


def _lines(batch: BarBatch, report: QualityReport) -> list[dict[str, str]]:
    if not report.findings:
        return [_line(batch, f"all {report.checks} checks passed")]
    return [
        _line(batch, finding.check, finding, row) for finding in report.findings for row in finding.examples or ("",)
    ]


def _line(batch: BarBatch, check: str, finding: Finding | None = None, row: str = "") -> dict[str, str]:
    return {
        "timeframe": batch.timeframe.value,
        "check": check,
        "severity": "" if finding is None else finding.severity.value,
        "message": "" if finding is None else masked(finding.message),
        "row": masked(row),
    }


def levels(sizing: Sizing | None) -> dict[str, float]:
    """Entry, stop and target of an order, for the chart; empty without one."""
    return {name: float(price) for name, price in _prices(sizing).items()}


def _prices(sizing: Sizing | None) -> dict[str, Decimal]:
    if sizing is None:
        return {}
    prices = {"entry": sizing.entry_price, "stop": sizing.stop_loss, "target": sizing.take_profit}
    return {name: price for name, price in prices.items() if price is not None}


def chart_page(
    batch: BarBatch,
    report: QualityReport,
    decision: Decision | None,
    sizing: Sizing | None,
    *,
    png: bytes,
    page: str | None,
) -> str:
    """Decision and levels, the chart itself inside the text, and what each source said."""
    lines = [f"# {_name(batch)} at {_minute(batch.bar_close)}"]
    if decision is not None:
        lines.append(f"**{decision.action}** by {decision.decided_by}, confidence {decision.confidence}")
    lines += _level_table(sizing)
    lines.append(image(png, f"bars of {_name(batch)}"))
    lines.append(verdict(batch, report, page))
    lines += _answer_table(batch)
    return "\n\n".join(lines)


def _level_table(sizing: Sizing | None) -> list[str]:
    prices = _prices(sizing)
    if not prices:
        return []
    rows = [
        f"| {name} | {plain(price.normalize())} | {price / prices['entry'] - 1:+.2%} |"
        for name, price in prices.items()
    ]
    return ["\n".join(["| level | price | from entry |", "| --- | ---: | ---: |", *rows])]


def _answer_table(batch: BarBatch) -> list[str]:
    if not batch.answers:
        return []
    rows = [
        f"| {answer.source} | {answer.outcome} | {answer.rows} | {answer.latency_ms:.0f} | {cell(answer.message or '')} |"
        for answer in batch.answers
    ]
    return ["\n".join(["| source | outcome | bars | ms | said |", "| --- | --- | ---: | ---: | --- |", *rows])]


def trend_page(history: Sequence[QualityPoint], png: bytes, day: str) -> str:
    """Pass rate of each instrument as a table with a line of blocks, one a day, and the plot."""
    rows = [
        f"| {rate.instrument} | {rate.share:.1%} | {rate.passed} | {rate.reports} | {rate.sparkline} |"
        for rate in pass_rates(history)
    ]
    table = ["| instrument | pass rate | passed | reports | by day |", "| --- | ---: | ---: | ---: | --- |", *rows]
    return "\n\n".join([f"# Data quality up to {day}", "\n".join(table), image(png, "pass rate by day")])


def image(png: bytes, alt: str) -> str:
    return f"![{alt}](data:image/png;base64,{base64.b64encode(png).decode()})"


def shown(page: str, text: str = "quality page") -> str:
    """A page as a link where the server shows it, else as the place of its file in the data folder."""
    return f"[{text}]({page})" if page.startswith("/") else f"{text} (`{page}`)"


def _name(batch: BarBatch) -> str:
    return f"{batch.instrument.symbol} {batch.timeframe.value}"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def cell(text: str) -> str:
    """Text of others as one line of Markdown that shows it and does nothing else: no tag, link, image, code or table column.

    Entities and not backslashes, on which renderers differ inside a table. They never stand for structure (CommonMark, section 2.5).
    """
    line = " ".join(masked(text).splitlines()).translate(_ENTITIES)
    return _UNDERSCORES.sub(lambda found: "&#95;" * len(found[0]), line)
