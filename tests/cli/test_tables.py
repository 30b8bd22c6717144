"""Tables for people: what others said, and nothing of it acts on the terminal."""

import pytest
from rich.text import Text

from ffe.cli.tables import console, print_cycle, print_rows, without_controls

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202efine [/] [red]\r\b"


def test_cells_show_what_was_said_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows("sources", [{"said": HOSTILE}], ["said"])
    assert "]0;owned[2J31mfine [/] [red]" in unharmed(capsys)


def test_lines_and_rows_of_a_cycle_have_none_either(capsys: pytest.CaptureFixture[str]) -> None:
    row = {
        "instrument": "BTCUSD",
        "bar_close": None,
        "decision": None,
        "sizing": None,
        "order": {
            "units": HOSTILE,
            "side": "BUY",
            "state": "REJECTED",
            "average_price": None,
            "placed_by_this_cycle": True,
            "reason": HOSTILE,
        },
        "error": None,
    }
    report = {"mode": "sim", "timeframe": "5m", "instruments": [row], "timings_ms": {}, "cycle_id": "c-1"}
    print_cycle(report)
    assert unharmed(capsys).count("owned") == 2


def test_colours_of_the_command_itself_stay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    console().print(Text(f"said {HOSTILE}", style="green"))
    assert capsys.readouterr().out == "\x1b[32msaid ]0;owned[2J31mfine [/] [red]\x1b[0m\n"


def test_an_empty_list_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows("incidents", [], ["id"])
    assert capsys.readouterr().out == "no incidents\n"


def test_lines_tabs_and_every_script_stay() -> None:
    assert without_controls("a\tb\nZürich 日本 é\x00") == "a\tb\nZürich 日本 é"


def unharmed(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, which is nothing but lines of printable characters."""
    printed = capsys.readouterr().out
    assert all(line.isprintable() for line in printed.split("\n"))
    return printed
