"""No secret in a log: every record of this process is masked when it is made, before any handler sees it.

A filter would have to hang on every handler, those that libraries add later included; the factory of records is one for the process, so what
Prefect sends to its API, what goes to standard error and what a file keeps are masked alike. Tracebacks that Python prints at the end are, too.
"""

import logging
import sys
import threading
import traceback
from types import TracebackType
from typing import Any

from ffe.observe.masking import masked

# Longer than what Prefect's API takes of a message by default (1,000,000) nobody keeps.
MOST = 1_000_000


def install() -> None:
    """Once per process; a second call changes nothing."""
    factory = logging.getLogRecordFactory()
    if not isinstance(factory, _Masking):
        logging.setLogRecordFactory(_Masking(factory))
        sys.excepthook = _Excepthook(sys.excepthook)
        threading.excepthook = _thread_excepthook(threading.excepthook)


class _Masking:
    def __init__(self, factory: Any) -> None:
        self._factory = factory

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._factory(*args, **kwargs)
        _mask_message(record)
        _mask_traceback(record)
        return record


def _mask_message(record: logging.LogRecord) -> None:
    """Leaves a record without a secret as it was made: its arguments, and whatever is wrong with them, are the handlers' to see."""
    try:
        said = record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit: logging reports that itself
        said = f"{record.msg} {record.args}"
    shown = masked(said, most=MOST)
    if shown != said:
        record.msg, record.args = shown, ()


def _mask_traceback(record: logging.LogRecord) -> None:
    """The text stands for the exception from then on (`logging.Formatter` prints it), because a handler that formats for itself would not."""
    if not record.exc_info or record.exc_info[1] is None:
        return
    told = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
    shown = masked(told, most=MOST)
    if shown != told:
        record.exc_info, record.exc_text = None, shown


class _Excepthook:
    def __init__(self, before: Any) -> None:
        self._before = before

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        told = "".join(traceback.format_exception(kind, error, trace))
        shown = masked(told, most=MOST)
        if shown == told:
            self._before(kind, error, trace)
        else:
            sys.stderr.write(shown)


def _thread_excepthook(before: Any) -> Any:
    def hook(args: Any) -> None:
        told = "".join(traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback))
        shown = masked(told, most=MOST)
        if shown == told:
            before(args)
        else:
            sys.stderr.write(f"Exception in thread {getattr(args.thread, 'name', '?')}:\n{shown}")

    return hook
