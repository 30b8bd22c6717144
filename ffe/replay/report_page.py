"""The page of a replay: one file that needs nothing else. Its policy forbids it to load anything; its script is comfort only."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from ffe.replay.charts import Chart
from ffe.replay.charts_candles import short_time
from ffe.replay.report_figures import figure
from ffe.replay.report_instrument import instrument_section
from ffe.replay.report_provenance import guard_section, note_section, provenance_section
from ffe.replay.report_tables import Html, escaped
from ffe.replay.report_verdict import SENTENCES, Verdict, verdicts, worst
from ffe.replay.request import ReplayRun

HERE = Path(__file__).parent
PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-$hash'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"><style>
$style</style></head>
<body><header><h1>$title</h1><p class="dim">$period</p></header>
$watermark
$verdict
<nav aria-label="Parts of this report"><ul>$links</ul></nav>
<main>
$body
</main>
<script>$script</script></body></html>
""")


def page(run: ReplayRun, charts: Sequence[Mapping[str, Chart]], accounts: Sequence[Chart]) -> str:
    """The whole page; `charts` of each instrument, `accounts` where several share one."""
    script = (HERE / "report_page.js").read_text(encoding="utf-8")
    names = [*run.result.instruments, *(("accounts",) if accounts else ()), "guards", "notes", "provenance"]
    body = [
        _accounts(accounts),
        *(instrument_section(run, at, charts[at]) for at in range(len(run.feeds))),
        guard_section(run),
        note_section(run),
        provenance_section(run),
    ]
    return PAGE.substitute(
        title=escaped(f"Replay of {run.strategy} on {', '.join(run.result.instruments)}"),
        period=escaped(_period(run)),
        style=(HERE / "report_page.css").read_text(encoding="utf-8"),
        hash=b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        script=script,
        watermark=_watermark(run),
        verdict=verdict_box(verdicts(run)),
        links="".join(f'<li><a href="#{escaped(name)}">{escaped(name)}</a></li>' for name in names),
        body="\n".join(body),
    )


def verdict_box(found: tuple[Verdict, ...]) -> Html:
    """The answer to the one question, with its reasons by instrument."""
    answer = worst(found)
    kind = answer.value.replace(" ", "-")
    reasons = "".join(
        f"<p><strong>{escaped(each.instrument)}: {each.answer.value}.</strong></p>"
        f"<ul>{''.join(f'<li>{escaped(reason)}</li>' for reason in each.reasons)}</ul>"
        for each in found
    )
    return Html(
        f'<section id="verdict" class="verdict {kind}"><h2>Would you let it trade?</h2>'
        f'<p class="answer">{escaped(SENTENCES[answer])}</p>{reasons}</section>'
    )


def _period(run: ReplayRun) -> str:
    held = [feed.bars for feed in run.feeds if len(feed.bars)]
    if not held:
        return "no bars"
    first, last = min(int(bars.times[0]) for bars in held), max(int(bars.closes_at[-1]) for bars in held)
    bars = sum(len(each) for each in held)
    return f"{short_time(first)} to {short_time(last)} UTC, {bars:,} bars of {run.timeframe.value}, {run.result.capital:,.0f} USD an account"


def _watermark(run: ReplayRun) -> Html:
    lines = [run.watermark or "Contaminated."] if any(run.contaminated) else []
    lines += [] if run.costs else ["Costs are off: these numbers are before fees, spread and slippage."]
    return Html("".join(f'<p class="watermark" role="note">{escaped(line)}</p>' for line in lines))


def _accounts(accounts: Sequence[Chart]) -> Html:
    if not accounts:
        return Html("")
    return Html(f'<section id="accounts"><h2>Accounts</h2>{"".join(figure(each) for each in accounts)}</section>')
