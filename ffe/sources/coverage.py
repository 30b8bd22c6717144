"""The index beside the months of one partition: which spans were asked, answered and held to be good.

It carries its own sha256, and size and sha256 of every month file it speaks of. An index that is lost or not what was written covers
nothing; a month that is lost or has another size covers nothing of that month; a month of other bytes is an error to who reads it
(Parquet's own checksums leave its footer out). So a fault costs requests and never gives wrong bars.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self

from ffe.clock import parse_time, rfc3339
from ffe.sources.files import holds, replace
from ffe.sources.spans import Span, outside

INDEX_NAME = "coverage.json"


class Written(NamedTuple):
    """What a month file was when it was written."""

    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> Self:
        return cls(len(content), hashlib.sha256(content).hexdigest())


@dataclass(frozen=True)
class Coverage:
    """`spans` as `ffe.sources.spans` returns them; `files` by month (`2024-01`)."""

    spans: tuple[Span, ...] = ()
    files: Mapping[str, Written] = field(default_factory=dict)

    def without_months(self, months: Iterable[str]) -> "Coverage":
        """Nothing of these months is covered, and their files are not spoken of."""
        gone, spans = set(months), list(self.spans)
        for month in gone:
            spans = outside(spans, *month_span(month))
        return Coverage(tuple(spans), {month: written for month, written in self.files.items() if month not in gone})


def month_of(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m}"


def month_span(month: str) -> Span:
    """First moment of the month and of the next one, UTC."""
    year, number = (int(part) for part in month.split("-"))
    after = (year + 1, 1) if number == 12 else (year, number + 1)
    return datetime(year, number, 1, tzinfo=UTC), datetime(*after, 1, tzinfo=UTC)


def months_of(span: Span) -> list[str]:
    """Every month that the span touches, in order."""
    months, at = [], span[0]
    while at < span[1]:
        months.append(month_of(at))
        at = month_span(months[-1])[1]
    return months


def month_path(folder: Path, month: str) -> Path:
    return folder / f"month={month}.parquet"


def load(folder: Path) -> Coverage:
    """What the index in `folder` says and the months beside it bear out."""
    try:
        document = json.loads((folder / INDEX_NAME).read_bytes())
        if document["sha256"] != _digest(document["covered"], document["files"]):
            return Coverage()
        spans = tuple((parse_time(start), parse_time(end)) for start, end in document["covered"])
        files = {month: Written(*written) for month, written in document["files"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return Coverage()
    return Coverage(spans, files).without_months(
        month for month, written in files.items() if _size(folder, month) != written.size
    )


def save(folder: Path, coverage: Coverage) -> None:
    """Written atomically; a caller holds the folder's lock. The same index again writes nothing."""
    covered = [[rfc3339(start), rfc3339(end)] for start, end in coverage.spans]
    files = {month: list(written) for month, written in sorted(coverage.files.items())}
    document = {"sha256": _digest(covered, files), "covered": covered, "files": files}
    content = json.dumps(document, indent=1).encode()
    path = folder / INDEX_NAME
    if not holds(path, content):
        replace(path, content)


def _digest(covered: list[list[str]], files: Mapping[str, list[object]]) -> str:
    return hashlib.sha256(json.dumps([covered, files], sort_keys=True).encode()).hexdigest()


def _size(folder: Path, month: str) -> int | None:
    try:
        return month_path(folder, month).stat().st_size
    except OSError:
        return None
