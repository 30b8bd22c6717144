"""What goes over the socket: nothing is lost, and nothing else is understood."""

import os
import signal
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.warm import wire

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.just("\udcff")
values = st.binary().map(lambda value: value.replace(b"\0", b""))
names = values.map(lambda value: value.replace(b"=", b"") or b"A")


@given(module=texts.filter(bool), folder=values, arguments=st.lists(texts), environment=st.dictionaries(names, values))
def test_every_request_arrives_as_it_was(
    module: str, folder: bytes, arguments: list[str], environment: dict[bytes, bytes]
) -> None:
    request = wire.Request("this one", module, folder, arguments, environment)
    message = wire.encode(request)
    assert int.from_bytes(message[: wire.LENGTH], "big") == len(message) - wire.LENGTH
    assert vars(wire.decode(message[wire.LENGTH :])) == vars(request)


@given(st.binary())
def test_garbage_is_a_value_error_or_a_request(body: bytes) -> None:
    try:
        assert wire.decode(body).module
    except ValueError:
        return


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not enough values"),
        (b"python\0module\0/\0one", "invalid literal"),
        (b"python\0module\0/\0-1", "-1 arguments in 0 fields"),
        (b"python\0module\0/\0" + b"2\0one", "2 arguments in 1 fields"),
        (b"python\0\0/\0" + b"0", "no module"),
        (b"python\0module\0/\0" + b"0\0no sign", "without a name"),
        (b"python\0module\0/\0" + b"0\0=no name", "without a name"),
    ],
)
def test_a_damaged_request_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        wire.decode(body)


@given(st.integers(0, 255))
def test_every_exit_code_is_a_wait_status(code: int) -> None:
    assert wire.wait_status(str(code << 8)) == code << 8


@given(st.text() | st.integers().map(str) | st.integers(0, 70000).map(str))
def test_what_is_taken_for_a_wait_status_can_be_ended_like(text: str) -> None:
    status = wire.wait_status(text)
    if status is not None:
        assert os.WIFEXITED(status) or os.WTERMSIG(status) in range(1, signal.NSIG)
        assert os.waitstatus_to_exitcode(status) in range(-signal.NSIG + 1, 256)


@given(st.text() | st.integers().map(str))
def test_what_is_taken_for_a_process_id_is_never_a_group_of_many(text: str) -> None:
    pid = wire.process_id(text)
    assert pid is None or 1 < pid < 2**31


@pytest.mark.parametrize("status", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV | 0x80])
def test_a_signal_with_or_without_a_core_is_a_wait_status(status: int) -> None:
    assert wire.wait_status(str(int(status))) == status


@pytest.mark.parametrize(
    "text", ["", "zz", "-1", "127", "128", "65", "65536", "9" * 30, "9" * 5000, "\u0661", "1 2", "2057"]
)
def test_what_is_none(text: str) -> None:
    assert wire.wait_status(text) is None


def test_only_python_variables_make_another_interpreter() -> None:
    plain = wire.interpreter({b"PATH": b"/bin", b"PYTHONPATH": b"/a"})
    assert plain == wire.interpreter({b"PYTHONPATH": b"/a", b"HOME": b"/"})
    assert plain != wire.interpreter({b"PYTHONPATH": b"/b"})
    assert sys.prefix in plain
