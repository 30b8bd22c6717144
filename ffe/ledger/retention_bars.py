"""Old batches of bars: rows that nothing names, files that no order rests on, quality pages with them, and files nobody finished."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import and_, delete, exists, not_, or_, select
from sqlmodel import Session, col

from ffe.ledger.order_tables import OrderRow
from ffe.ledger.retention_sweep import BATCH, Removal, Sweep
from ffe.ledger.tables import BarBatchRow, DecisionRow, QualityReportRow
from ffe.sources.files import PART, disk_faults

# A writer that is a day behind is dead.
UNFINISHED = timedelta(days=1)
# Of a sha256 in hexadecimal, with which the names of a batch's file and of its pages begin.
_DIGITS = 64


def remove_bars(run: Sweep, days: int | None) -> tuple[Removal, ...]:
    """Rows of batches fetched before the limit, their reports, and their files."""
    if days is None:
        return tuple(Removal(kind=kind, days=None) for kind in ("bar batches", "bar files"))
    whole = _ordered(run)
    rows, gone = _remove_rows(run, days, whole)
    return rows, _remove_files(run, days, whole, gone)


def _ordered(run: Sweep) -> frozenset[str]:
    """Batches that an order rests on: its decision's own and those of the other timeframes."""
    query = select(col(DecisionRow.batch_id), col(DecisionRow.pulse_batches)).where(
        exists().where(col(OrderRow.decision_id) == col(DecisionRow.id))
    )
    found: set[str] = set()
    with run.database.read() as session:
        for batch_id, pulse in session.connection().execute(query):
            found.update({batch_id} - {None}, (pulse or {}).values())
    return frozenset(found)


def _remove_rows(run: Sweep, days: int, whole: frozenset[str]) -> tuple[Removal, set[str]]:
    """In the order of their ids, a page at a time, so that what stays is looked at once. With the ids of those that went."""
    gone: set[str] = set()
    kept, after = 0, ""
    query = select(col(BarBatchRow.id), ~_free(run, days)).where(col(BarBatchRow.fetched_at) < run.before(days))
    while True:
        page = query.where(col(BarBatchRow.id) > after).order_by(col(BarBatchRow.id)).limit(BATCH)
        with run.database.read() as session:
            found = session.connection().execute(page).all()
        going = [batch_id for batch_id, named in found if not named and batch_id not in whole]
        kept += len(found) - len(going)
        if going and not run.dry_run:
            with run.writing() as session:
                going = _delete_batches(session, run, days, going)
        gone.update(going)
        if len(found) < BATCH:
            return Removal(kind="bar batches", days=days, removed=len(gone), kept=kept), gone
        after = found[-1][0]


def _free(run: Sweep, days: int) -> Any:
    """No decision names the batch or a report of it, and nobody has judged it since the limit."""
    of_batch = col(QualityReportRow.batch_id) == col(BarBatchRow.id)
    quoted = exists().where(col(DecisionRow.quality_report_id) == col(QualityReportRow.id))
    report = exists().where(of_batch, or_(col(QualityReportRow.checked_at) >= run.before(days), quoted))
    return and_(not_(exists().where(col(DecisionRow.batch_id) == col(BarBatchRow.id))), not_(report))


def _delete_batches(session: Session, run: Sweep, days: int, ids: list[str]) -> list[str]:
    """Asked once more under the lock: what has got a name in between stays. The ids that went."""
    connection = session.connection()
    free = select(col(BarBatchRow.id)).where(col(BarBatchRow.id).in_(ids), _free(run, days))
    going = list(connection.execute(free).scalars())
    connection.execute(delete(QualityReportRow).where(col(QualityReportRow.batch_id).in_(going)))
    connection.execute(delete(BarBatchRow).where(col(BarBatchRow.id).in_(going)))
    return going


def _remove_files(run: Sweep, days: int, whole: frozenset[str], gone: set[str]) -> Removal:
    """Files and pages of old batches. Where a crash has left files without a row, their own age decides."""
    removed, kept, size = 0, 0, 0
    for some in _pages(_files(run.data_dir / "bars" / "batches")):
        staying, known = _staying(run, days, list(some), whole)
        for batch_id, paths in some.items():
            stays = batch_id in staying
            if not stays and batch_id not in known | gone:
                stays = any(_written(path) >= run.wall - timedelta(days=days) for path in paths)
            if stays:
                kept += batch_id in whole
                continue
            for path in paths:
                size += path.stat().st_size
                removed += 1
                _unlink(run, path)
    return Removal(kind="bar files", days=days, removed=removed, kept=kept, size=size)


def _files(folder: Path) -> Iterator[tuple[str, list[Path]]]:
    """Batch ids, each with its file and its pages."""
    with disk_faults(folder, "listed"):
        for part in sorted(folder.glob("??")):
            found: dict[str, list[Path]] = defaultdict(list)
            for path in sorted(part.iterdir()):
                name = path.name.split(".", 1)[0]
                if len(name) == _DIGITS:
                    found[name].append(path)
            yield from found.items()


def _pages(files: Iterable[tuple[str, list[Path]]]) -> Iterator[dict[str, list[Path]]]:
    rest = iter(files)
    while some := dict(islice(rest, BATCH)):
        yield some


def _staying(run: Sweep, days: int, ids: list[str], whole: frozenset[str]) -> tuple[set[str], set[str]]:
    """Which of the ids keep their files, and which are on record at all."""
    lately = exists().where(
        col(QualityReportRow.batch_id) == col(BarBatchRow.id), col(QualityReportRow.checked_at) >= run.before(days)
    )
    stays = or_(col(BarBatchRow.fetched_at) >= run.before(days), lately)
    query = select(col(BarBatchRow.id), stays).where(col(BarBatchRow.id).in_(ids))
    with run.database.read() as session:
        found = session.connection().execute(query).all()
    return {batch_id for batch_id, new in found if new} | (whole & set(ids)), {batch_id for batch_id, _ in found}


def remove_parts(run: Sweep) -> Removal:
    """Files that their writers began and never finished: beside bars, and where backups are: `backups`, and the data folder itself."""
    removed, size = 0, 0
    inside = (path for name in ("bars", "backups") for path in (run.data_dir / name).rglob(f".*{PART}"))
    places = (*run.data_dir.glob(f".*{PART}"), *inside)
    with disk_faults(run.data_dir, "cleaned"):
        for path in places:
            if path.is_file() and _written(path) < run.wall - UNFINISHED:
                removed, size = removed + 1, size + path.stat().st_size
                _unlink(run, path)
    return Removal(kind="unfinished files", days=UNFINISHED.days, removed=removed, size=size)


def _unlink(run: Sweep, path: Path) -> None:
    if not run.dry_run:
        with disk_faults(path, "removed"):
            path.unlink(missing_ok=True)


def _written(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
