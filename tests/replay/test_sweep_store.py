"""The file that a sweep goes on from."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe.errors import ConfigurationError, CorruptFileError
from ffe.replay.sweep_store import NAME, opened


def test_what_was_added_is_there_again_and_the_newest_of_a_key_counts(tmp_path: Path) -> None:
    with opened(tmp_path / "new") as store:
        assert store.found == {}
        store.add({"key": "a", "value": 0.1})
        store.add({"key": "b", "value": None})
        store.add({"key": "a", "value": 0.2})
    with opened(tmp_path / "new") as store:
        assert store.found == {"a": {"key": "a", "value": 0.2}, "b": {"key": "b", "value": None}}


@given(st.integers(0, 200))
def test_a_file_cut_off_anywhere_gives_back_its_whole_lines_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    with opened(folder) as store:
        for key in "abcd":
            store.add({"key": key, "value": 1.5})
    path = folder / NAME
    content = path.read_bytes()[:cut]
    path.write_bytes(content)
    whole = content.count(b"\n")
    with opened(folder) as store:
        assert sorted(store.found) == list("abcd")[:whole]
        store.add({"key": "e", "value": 2})
    with opened(folder) as store:
        assert sorted(store.found) == [*list("abcd")[:whole], "e"]


def test_two_sweeps_in_one_folder_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(ConfigurationError, match="another sweep works"), opened(tmp_path):
        pass


@pytest.mark.parametrize("line", ["not json", "[]", '{"no": "key"}'])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / NAME).write_text(f'{{"key": "a"}}\n{line}\n')
    with pytest.raises(CorruptFileError, match="line 2"), opened(tmp_path):
        pass


@pytest.mark.parametrize("content", ["their only line", '{"id": 1}\n{"id": 2}', '{"key": "a"}\ntheirs'])
def test_a_file_that_is_not_ours_stays_as_it_is(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content)
    with pytest.raises(CorruptFileError, match="no result of a sweep"), opened(tmp_path):
        pass
    assert (tmp_path / NAME).read_text() == content


def test_the_zeros_that_a_power_cut_leaves_at_the_end_are_dropped(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b'{"key": "a"}\n' + bytes(64))
    with opened(tmp_path) as store:
        assert list(store.found) == ["a"]
    assert (tmp_path / NAME).read_bytes() == b'{"key": "a"}\n'


def test_a_folder_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="can't be written"), opened(tmp_path / "file"):
        pass


def test_what_is_no_number_is_never_written(tmp_path: Path) -> None:
    with opened(tmp_path) as store, pytest.raises(ValueError, match="not JSON compliant"):
        store.add({"key": "a", "value": float("nan")})
    assert (tmp_path / NAME).read_bytes() == b""
