"""Where the numbers come from: guards, data, rules, settings and the command that makes them again."""

import json
from collections.abc import Iterator

from ffe.replay.document import epoch, plain
from ffe.replay.models import Feed, Gate
from ffe.replay.report_tables import Html, escaped, table
from ffe.replay.report_verdict import percent
from ffe.replay.request import ReplayRun


def guard_section(run: ReplayRun) -> Html:
    """What was looked for that makes a replay worthless, and what was found."""
    body = "".join(f"<li>{escaped(line)}</li>" for line in _guards(run))
    return Html(f'<section id="guards"><h2>Guards</h2><ul>{body}</ul></section>')


def note_section(run: ReplayRun) -> Html:
    body = "".join(f"<li>{escaped(note)}</li>" for note in run.notes) or "<li>None.</li>"
    return Html(f'<section id="notes"><h2>Notes</h2><ul>{body}</ul></section>')


def provenance_section(run: ReplayRun) -> Html:
    result = run.result
    rate = f"{result.bars / result.seconds:,.0f} bars a second" if result.seconds > 0 else "too short to tell a rate"
    facts = [
        ("engine", f"{result.engine}: {result.bars:,} bars in {result.seconds:.3f} s, {rate}"),
        ("started at", plain(run.started_at)),
        ("strategy", " ".join((run.strategy, *(f"{name}={value:g}" for name, value in run.params.items())))),
        ("capital", f"{result.capital:,.2f} USD, of each venue's account"),
        ("costs", "on" if run.costs else "off"),
        ("stops and targets", f"met {run.plan.fills.value}"),
        *((f"version of {name}", version) for name, version in sorted(run.versions.items())),
    ]
    return Html(
        '<section id="provenance"><h2>Provenance</h2><p>The same command on the same data gives the same numbers:</p>'
        f"<pre><code>{escaped(run.command)}</code></pre>"
        + table("Run", ("", ""), facts, words=(1,))
        + data_table(run.feeds)
        + spec_table(run.feeds)
        + f"<details><summary>Settings</summary><pre>{escaped(json.dumps(plain(run.plan), indent=1))}</pre></details></section>"
    )


def data_table(feeds: tuple[Feed, ...]) -> Html:
    """Each instrument's bars and what its gates said."""
    rows = [
        (
            feed.bars.instrument.symbol,
            feed.bars.timeframe.value,
            f"{len(feed.bars):,}",
            epoch(feed.bars.times[0]) if len(feed.bars) else "",
            epoch(feed.bars.closes_at[-1]) if len(feed.bars) else "",
            "recorded" if feed.bars.quoted else "a spread was assumed",
            *(f"{int((feed.gates == gate).sum()):,}" for gate in Gate),
            Html(f"<code>{escaped(feed.bars.sha256)}</code>"),
        )
        for feed in feeds
    ]
    gates = [gate.name.lower().replace("_", " ") for gate in Gate]
    head = ("instrument", "timeframe", "bars", "from", "to", "bid and ask", *gates, "sha256")
    return table("Data, and how many bars each gate let pass or stopped", head, rows, words=(1, 3, 4, 5, len(head) - 1))


def spec_table(feeds: tuple[Feed, ...]) -> Html:
    """The venue's rules that were applied."""
    rows = [
        (
            feed.spec.instrument,
            feed.spec.venue,
            percent(float(feed.spec.taker_fee_rate)).lstrip("+"),
            feed.spec.price_increment,
            feed.spec.size_increment,
            feed.spec.min_size,
            "none" if feed.spec.margin_rate is None else percent(float(feed.spec.margin_rate)).lstrip("+"),
        )
        for feed in feeds
    ]
    head = ("instrument", "venue", "taker fee", "price step", "size step", "smallest size", "margin")
    return table("Rules of the venues", head, rows, words=(1,))


def _guards(run: ReplayRun) -> Iterator[str]:
    yield from (str(each) for each in (*run.lookahead, *run.warm_up))
    if not run.lookahead:
        yield "Look-ahead was not checked: only a rule can be run again on truncated bars."
    known = [name for name, stained in zip(run.result.instruments, run.contaminated, strict=True) if stained]
    if known:
        yield f"Knowledge cutoff: {', '.join(known)}: {run.watermark or 'the model may know these days'}"
    else:
        yield "Knowledge cutoff: no bar is from before the day up to which whoever decided may know what happened."
    yield (
        "Costs are on: fees, spread and slippage."
        if run.costs
        else "Costs are OFF: every trade looks better than it was."
    )
