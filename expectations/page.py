"""One result as one HTML page that opens anywhere: Great Expectations' own rendering, without its outside hosts.

Great Expectations' page view loads scripts, styles, fonts and images from eight hosts and does not escape every value. Here its page
renderer and its section view make the tables, and this module makes the shell around them. Two rules keep the page harmless: every
character of a value that HTML knows travels through the rendering as a placeholder and is escaped once at the end, and of the rendered
markup only known tags and attributes are kept.
"""

import html
from html.parser import HTMLParser
from typing import Any

from expectations.validate import load_suites
from ffe.clock import rfc3339
from ffe.market.quality import QualityReport, Severity
from ffe.sources.models import BarBatch

# Unicode keeps these code points for private use: no venue prints them, and where a value has one it is dropped.
_PLACEHOLDERS = {ord(character): chr(0xE000 + number) for number, character in enumerate("<>&\"'$`{}")}
_DROPPED = dict.fromkeys(map(ord, _PLACEHOLDERS.values()))
_TAGS = frozenset(
    [
        "b",
        "br",
        "code",
        "div",
        "em",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "li",
        "ol",
        "p",
        "pre",
        "small",
        "span",
        "strong",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "tr",
        "ul",
    ]
)
_VOID = frozenset({"br", "hr"})
_UNSEEN = frozenset(
    {"script", "style", "head", "title", "svg", "form", "button", "template", "iframe", "object", "nav"}
)
_ATTRIBUTES = frozenset({"class", "colspan", "rowspan", "hidden"})
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_CSS = """
body{font:15px/1.5 system-ui,sans-serif;color:#1b2430;background:#f5f6f8;margin:0;padding:2rem 1rem}
main{max-width:72rem;margin:auto}
section,header{background:#fff;border:1px solid #dfe3e8;border-radius:6px;padding:1rem 1.5rem;margin-bottom:1rem;overflow-x:auto}
h1{font-size:1.5rem;margin:.2rem 0 .6rem}h2,h3,h4,h5,h6{font-size:1.1rem;margin:.8rem 0 .4rem}p{margin:.3rem 0}
table{border-collapse:collapse;width:100%;margin:.4rem 0}
th,td{border:1px solid #dfe3e8;padding:.35rem .6rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{background:#eef1f4;white-space:nowrap}table table{font-size:.85em}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:0}dt{color:#5b6673}dd{margin:0;overflow-wrap:anywhere}
code{font-size:.85em;white-space:pre-wrap;overflow-wrap:anywhere}
.passed{color:#14713a}.failed,.text-danger{color:#b3261e}
.fa-check-circle::before{content:"\\2713";color:#14713a}.fa-times::before{content:"\\2717";color:#b3261e}
.fa-exclamation-triangle::before{content:"\\26A0";color:#9a6700}
"""


def render_page(result: dict[str, Any], report: QualityReport, batch: BarBatch) -> str:
    """`result` is what `validate_bars` kept. Failed checks come first, the gravest at the top. The page needs no network and no script."""
    title = f"{batch.instrument.symbol} {batch.timeframe.value}: bars {'passed' if report.passed else 'failed'}"
    sections = "\n".join(f"<section>{section}</section>" for section in _sections(_failed_first(result), report, batch))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{_CSS}</style>
</head>
<body>
<main>
<header>
<h1 class="{"passed" if report.passed else "failed"}">{html.escape(title)}</h1>
{_facts(report, batch)}
</header>
{sections}
</main>
</body>
</html>
"""


def _facts(report: QualityReport, batch: BarBatch) -> str:
    facts = {
        "Source": batch.source,
        "Bars": f"{batch.rows}, {rfc3339(batch.first_open)} to {rfc3339(batch.bar_close)}",
        "Freshness": "not judged with this report" if report.freshness is None else report.freshness.message,
        "Suite": f"{report.suite}, {report.checks} expectations, {report.duration_ms:.0f} ms",
        "Checked at": rfc3339(report.checked_at),
        "Critical": _checks(report, Severity.CRITICAL),
        "Warnings": _checks(report, Severity.WARNING),
        "Information": _checks(report, Severity.INFO),
        "Batch": batch.id,
        "Report": report.id,
    }
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{html.escape(value)}</dd>' for name, value in facts.items())}</dl>"


def _checks(report: QualityReport, severity: Severity) -> str:
    return ", ".join(finding.check for finding in report.findings if finding.severity is severity) or "none"


def _failed_first(result: dict[str, Any]) -> dict[str, Any]:
    def rank(item: dict[str, Any]) -> tuple[bool, int]:
        return bool(item["success"]), list(Severity).index(Severity(item["expectation_config"]["severity"]))

    return {**result, "results": sorted(result["results"], key=rank)}


def _sections(result: dict[str, Any], report: QualityReport, batch: BarBatch) -> list[str]:
    """Each section of Great Expectations' own page as clean HTML."""
    run = {"run_name": f"{batch.instrument.symbol} {batch.timeframe.value}", "run_time": rfc3339(report.checked_at)}
    meta = {"great_expectations_version": result["meta"]["great_expectations_version"], "run_id": run}
    # Great Expectations fails a suite for a warning too; here only a critical finding stops the bars.
    shown = _masked({**result, "success": report.passed, "meta": meta})
    return [_unmasked(_clean(section)) for section in _rendered(shown)]


def _rendered(result: dict[str, Any]) -> list[str]:
    load_suites()  # a class that is not defined is rendered as a name with numbers
    from great_expectations.core.expectation_validation_result import expectationSuiteValidationResultSchema
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaSectionView

    renderer: Any = ValidationResultsPageRenderer(run_info_at_end=True)
    document = renderer.render(expectationSuiteValidationResultSchema.load(result))
    view: Any = DefaultJinjaSectionView()
    return [
        view.render({"section": section.to_json_dict(), "section_loop": {"index": 1}}) for section in document.sections
    ]


def _masked(value: Any) -> Any:
    """The same with placeholders in every text."""
    if isinstance(value, str):
        return value.translate(_DROPPED).translate(_PLACEHOLDERS)
    if isinstance(value, dict):
        return {key: _masked(each) for key, each in value.items()}
    return [_masked(each) for each in value] if isinstance(value, list) else value


def _unmasked(page: str) -> str:
    """Placeholders as escaped characters; in a printed list they are spelt as escape sequences."""
    for code, placeholder in _PLACEHOLDERS.items():
        escaped = html.escape(chr(code))
        page = page.replace(placeholder, escaped).replace(f"\\u{ord(placeholder):04x}", escaped)
    return page


class _Cleaner(HTMLParser):
    """Writes what it reads, without anything but text, known tags and harmless attributes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.written: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # A link that unfolds a section does nothing on a page without scripts, where all is unfolded.
        hidden = tag in _UNSEEN or (tag == "a" and ("data-toggle", "collapse") in attrs)
        if hidden or (self._hidden and tag == self._hidden[-1]):
            self._hidden.append(tag)
        elif not self._hidden and tag in _TAGS:
            kept = "".join(f' {name}="{html.escape(text or "")}"' for name, text in attrs if name in _ATTRIBUTES)
            self.written.append(f"<{tag}{kept}>")

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            if tag == self._hidden[-1]:
                self._hidden.pop()
        elif tag in _TAGS and tag not in _VOID:
            self.written.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.written.append(html.escape(data))


def _clean(markup: str) -> str:
    cleaner = _Cleaner()
    cleaner.feed(markup)
    cleaner.close()
    return "".join(cleaner.written)
