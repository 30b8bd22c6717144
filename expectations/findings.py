"""Findings from validation results: what failed, how badly, in words with numbers.

"Failed" and "could not be checked" are told apart by `exception_info`, which comes in two shapes: flat, or keyed by metric id. A check
that could not run is critical, whatever severity it has.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from expectations.breach import EXAMPLES
from ffe.market.quality import Finding, Severity

_TEXT = 200


def findings_of(result: Any) -> tuple[Finding, ...]:
    """Findings of an `ExpectationSuiteValidationResult`, critical ones first; of one check only the gravest."""
    found: dict[str, Finding] = {}
    for item in result.results:
        if not item.success:
            finding = _finding(item)
            known = found.get(finding.check)
            if known is None or _rank(finding) < _rank(known):
                found[finding.check] = finding
    return tuple(sorted(found.values(), key=_rank))


def not_checked(check: str, reason: object, column: str | None = None) -> Finding:
    """The critical finding of a check that could not run."""
    text = reason if isinstance(reason, str) else f"{type(reason).__name__}: {reason}"
    return Finding(
        check=check, severity=Severity.CRITICAL, message=f"could not check {check}: {_cut(text)}", column=column
    )


def _rank(finding: Finding) -> int:
    return list(Severity).index(finding.severity)


def _finding(item: Any) -> Finding:
    config = item.expectation_config
    check, column = str(config.meta["check"]), config.kwargs.get("column")
    error = _raised(item.exception_info)
    if error is not None:
        return not_checked(check, error, column)
    result: Mapping[str, Any] = item.result
    describe = _MESSAGES.get(config.type, _observed)
    return Finding(
        check=check,
        severity=Severity(config.severity.value),
        message=describe(config.kwargs, result),
        column=column,
        unexpected=result.get("unexpected_count"),
        examples=_texts(result.get("partial_unexpected_list") or ()),
    )


def _raised(info: Mapping[str, Any] | None) -> str | None:
    """Message of the exception that kept the check from running; None when it ran."""
    if not info:
        return None
    shapes = [info] if "raised_exception" in info else info.values()
    for shape in shapes:
        if isinstance(shape, Mapping) and shape.get("raised_exception"):
            return str(shape.get("exception_message") or "an exception without a message")
    return None


def _observed(kwargs: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    del kwargs
    return str(result.get("observed_value"))


def _columns(kwargs: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    expected, observed = set(kwargs["column_set"]), set(result["observed_value"])
    parts = [("missing", expected - observed), ("unexpected", observed - expected)]
    return "; ".join(f"{what} columns {', '.join(sorted(names))}" for what, names in parts if names)


def _row_count(kwargs: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    return f"{result['observed_value']} bars, at least {kwargs['min_value']} needed"


_MESSAGES: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], str]] = {
    "expect_table_columns_to_match_set": _columns,
    "expect_table_row_count_to_be_between": _row_count,
}


def _texts(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(_cut(str(value)) for value in list(values)[:EXAMPLES])


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}..."
