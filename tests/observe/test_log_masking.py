"""Nothing that is logged, or printed at the end of a process, holds a secret."""

import io
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from ffe.observe import log_masking

CANARY = "c4n4ry-value-123"


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FFE_OANDA__TOKEN", CANARY)
    before = (logging.getLogRecordFactory(), sys.excepthook, threading.excepthook)
    logging.setLogRecordFactory(logging.LogRecord)
    sys.excepthook, threading.excepthook = sys.__excepthook__, threading.__excepthook__
    log_masking.install()
    yield
    logging.setLogRecordFactory(before[0])
    sys.excepthook, threading.excepthook = before[1:]


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    stream, logger = io.StringIO(), logging.getLogger("a.library")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


def test_a_message_and_its_arguments_are_masked(logged: io.StringIO) -> None:
    logging.getLogger("a.library").error("asked with %s for %d", CANARY, 3)
    logging.getLogger("a.library").error("GET /?apikey=unknown-secret")
    assert logged.getvalue() == "asked with <masked> for 3\nGET /?apikey=<masked>\n"


def test_a_traceback_is_masked_with_its_chain(logged: io.StringIO) -> None:
    try:
        try:
            raise ValueError(CANARY)
        except ValueError as cause:
            raise KeyError("outer") from cause
    except KeyError:
        logging.getLogger("a.library").exception("failed")
    said = logged.getvalue()
    assert CANARY not in said
    assert "ValueError: <masked>" in said
    assert "KeyError: 'outer'" in said


def test_a_record_without_a_secret_is_left_as_it_was_made(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("plain")
    except ValueError:
        logging.getLogger("a.library").exception("failed %d times", 2)
    (record,) = caplog.records
    assert (record.args, record.msg) == ((2,), "failed %d times")
    assert record.exc_info is not None
    logging.getLogger("a.library").error("no exception", exc_info=True)
    assert caplog.records[-1].getMessage() == "no exception"


def test_arguments_that_do_not_fit_leak_nothing(logged: io.StringIO) -> None:
    logging.getLogger("a.library").error("too few %s %s", *[CANARY])
    assert CANARY not in logged.getvalue()
    assert "<masked>" in logged.getvalue()


def test_installing_twice_masks_once() -> None:
    factory = logging.getLogRecordFactory()
    log_masking.install()
    assert logging.getLogRecordFactory() is factory


def test_what_ends_a_process_or_a_thread_is_printed_without_secrets() -> None:
    code = f"""
import threading
from ffe.observe import log_masking
log_masking.install()
def fail(text):
    raise RuntimeError(text)
for text in ("plain", "{CANARY}"):
    thread = threading.Thread(target=fail, args=(text,))
    thread.start(); thread.join()
fail("{CANARY}")
"""
    import os

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60, env=dict(os.environ)
    )
    assert done.returncode == 1
    assert CANARY not in done.stderr
    assert done.stderr.count("RuntimeError: <masked>") == 2
    assert "RuntimeError: plain" in done.stderr
    plain = subprocess.run(
        [sys.executable, "-c", "from ffe.observe import log_masking; log_masking.install(); 1/0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "ZeroDivisionError" in plain.stderr


@pytest.mark.parametrize(("text", "shown"), [("plain", "plain"), (CANARY, "<masked>")])
def test_the_last_words_of_a_process_are_masked_only_where_they_must_be(
    capsys: pytest.CaptureFixture[str], text: str, shown: str
) -> None:
    error = RuntimeError(text)
    sys.excepthook(RuntimeError, error, None)
    threading.excepthook(threading.ExceptHookArgs((RuntimeError, error, None, threading.current_thread())))
    said = capsys.readouterr().err
    assert said.count(f"RuntimeError: {shown}") == 2
    assert CANARY not in said
