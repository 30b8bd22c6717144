"""The report of an evaluation: a folder with one page that needs nothing else, the numbers as JSON, and the plots as files.

The page carries its plots inside it and runs no script, so it can be mailed and opened anywhere. What models and runtimes call
themselves is escaped: a report is a page somebody opens.
"""

import base64
import html
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ffe.clock import rfc3339
from ffe.errors import ConfigurationError
from ffe.evals import plots
from ffe.evals.drift import Drift, drift_line
from ffe.evals.metrics import SCORED, action_shares, claims, latencies
from ffe.evals.models import CaseSet, Results, Trial
from ffe.evals.table import rows
from ffe.feedback.models import ModelEval
from ffe.feedback.plots import reliability_plot
from ffe.feedback.scores import reliability
from ffe.sources.files import replace

PAGE, NUMBERS = "index.html", "eval.json"
STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#1f2933;background:#fff;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .2rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{margin:.4rem 0}
table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #e4e7eb}
td.n{text-align:right;font-variant-numeric:tabular-nums}th.n{text-align:right}.dim{color:#5f6b76}
.alarm{border-left:4px solid #d1495b;padding:.3rem .8rem;background:#fdf2f3}.ok{border-left:4px solid #1a9988;padding:.3rem .8rem}
.plots{display:grid;grid-template-columns:repeat(2,1fr);gap:1rem}.plots figure:first-child{grid-row:span 2}
figure{margin:0}img{max-width:100%}
figcaption{font-size:.85rem;color:#5f6b76}code{overflow-wrap:anywhere}
"""
CAPTIONS = {
    "reliability": "Claimed probability against the share that paid",
    "actions": "What was answered, first turn",
    "latency": "How long a call took",
}


@contextmanager
def report_folder(folder: Path) -> Iterator[Path]:
    """The folder, made where it is missing: before an hour of questions, not after. Left empty, it goes again.

    Raises:
        ConfigurationError: it can't be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--report {folder} can't be a folder: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(f"--report {folder} can't be written")
    try:
        yield folder
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()


def write_report(folder: Path, evaluation: ModelEval, results: Results, cases: CaseSet, drift: Drift | None) -> None:
    """Page, numbers and plots into `folder`; each file is whole or not there."""
    pictures = draw(evaluation, results)
    for name, picture in pictures.items():
        replace(folder / f"{name}.png", picture)
    document = as_document(evaluation, drift) | {
        "trials": [trial.model_dump(mode="json") for trial in results.trials],
        "cases": [case.model_dump(mode="json", exclude={"context"}) for case in results.cases],
    }
    replace(folder / NUMBERS, (json.dumps(document, indent=1) + "\n").encode())
    replace(folder / PAGE, page(evaluation, results, cases, drift, pictures).encode())


def as_document(evaluation: ModelEval, drift: Drift | None) -> dict[str, Any]:
    """The evaluation as plain JSON; `drift` null where there was nothing to compare with."""
    moved = None if drift is None else drift.model_dump(mode="json") | {"drifted": drift.drifted}
    return evaluation.model_dump(mode="json") | {"drift": moved}


def draw(evaluation: ModelEval, results: Results) -> dict[str, bytes]:
    """PNG by name."""
    metrics = evaluation.metrics
    curves = {}
    for source, name in SCORED.items():
        claimed, outcomes = claims(results, source)
        if claimed:
            curves[name] = reliability(claimed, outcomes)
    return {
        "reliability": reliability_plot(curves, "BUY and SELL: claimed against paid after costs"),
        "actions": plots.action_plot(action_shares(metrics)),
        "latency": plots.latency_plot(latencies(results), metrics["latency_p50_ms"], metrics["latency_p95_ms"]),
    }


def page(
    evaluation: ModelEval, results: Results, cases: CaseSet, drift: Drift | None, pictures: dict[str, bytes]
) -> str:
    """The whole page."""
    title = html.escape(f"Model evaluation: {evaluation.model}")
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style></head>',
        f"<body><h1>{title}</h1>",
        *_head(evaluation, results, cases),
        *_drift(drift),
        "<h2>Metrics</h2>",
        _metric_table(evaluation),
        '<h2>Plots</h2><div class="plots">',
        *(_figure(name, picture) for name, picture in pictures.items()),
        "</div>",
        "<h2>Answers</h2>",
        _answers(results),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _head(evaluation: ModelEval, results: Results, cases: CaseSet) -> Iterator[str]:
    identity = results.identity
    facts = (
        ("quantization", evaluation.quantization or "the name does not say"),
        ("digest", evaluation.model_digest),
        ("runtime", f"{evaluation.runtime}, {identity.adapter}, on {identity.device}"),
        ("prompt version", evaluation.prompt_version),
        ("cases", f"{len(results.cases)} of {cases.name}, file sha256 {evaluation.cases_sha256}"),
        ("evaluated at", rfc3339(evaluation.evaluated_at.replace(microsecond=0))),
        ("evaluation", evaluation.id),
    )
    cells = "".join(f"<tr><th>{name}</th><td><code>{html.escape(value)}</code></td></tr>" for name, value in facts)
    yield f"<table>{cells}</table>"
    yield (
        f'<p class="dim">{len(results.cases)} cases tell whether a model answers validly and steadily. They are far too few to tell whether '
        "it earns money, and the examples in the embedded model's prompt were tuned on windows of the same recordings.</p>"
    )


def _drift(drift: Drift | None) -> Iterator[str]:
    kind = "dim" if drift is None else "alarm" if drift.drifted else "ok"
    lines = [
        f"{each}{'' if each.alarm else ' (a warning only)'}" for each in (() if drift is None else drift.movements)
    ]
    moved = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    yield f'<h2>Drift</h2><div class="{kind}">{html.escape(drift_line(drift))}<ul>{moved}</ul></div>'


def _metric_table(evaluation: ModelEval) -> str:
    body = "".join(
        f'<tr><td>{row.name}</td><td class="n">{row.value or "not measured"}</td>'
        f'<td class="n">{"" if row.n is None else row.n}</td><td class="dim">{row.note}</td></tr>'
        for row in rows(evaluation.metrics)
    )
    return f'<table><tr><th>metric</th><th class="n">value</th><th class="n">n</th><th></th></tr>{body}</table>'


def _figure(name: str, picture: bytes) -> str:
    data = base64.b64encode(picture).decode()
    return f'<figure><img alt="{CAPTIONS[name]}" src="data:image/png;base64,{data}"><figcaption>{CAPTIONS[name]}</figcaption></figure>'


def _answers(results: Results) -> str:
    """A row a case: every answer to it by question, and what each side earned."""
    body = []
    for case in results.cases:
        own = [trial for trial in results.trials if trial.case_id == case.id]
        said = ", ".join(f"{name} {_said(found)}" for name, found in _by_question(own))
        earned = f"{case.long_return:+.2%}", f"{case.short_return:+.2%}"
        body.append(
            f'<tr><td>{html.escape(case.id)}</td><td>{said}</td><td class="n">{earned[0]}</td><td class="n">{earned[1]}</td></tr>'
        )
    head = '<tr><th>case</th><th>answers</th><th class="n">long</th><th class="n">short</th></tr>'
    return f"<table>{head}{''.join(body)}</table>"


def _by_question(trials: Sequence[Trial]) -> Iterator[tuple[str, list[Trial]]]:
    for question in dict.fromkeys(trial.question for trial in trials):
        yield question.value, [trial for trial in trials if trial.question is question]


def _said(trials: Sequence[Trial]) -> str:
    """`BUY` when all agree, `BUY/HOLD` when they don't, `=` for a probe that was not asked because its prompt is the plain one."""
    if not any(trial.calls for trial in trials):
        return "="
    return "/".join(dict.fromkeys("none" if trial.action is None else trial.action.value for trial in trials))
