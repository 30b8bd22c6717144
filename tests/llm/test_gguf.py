"""The weights are the pinned ones, or nothing starts."""

import hashlib
import sys
from pathlib import Path

import pytest

from ffe.errors import ModelUnavailableError
from ffe.llm.gguf import PACKAGED_SHA256, Weights, locate, verify


def test_the_packaged_weights_lie_in_the_environment_and_are_pinned():
    weights = locate()

    assert weights.path.is_relative_to(sys.prefix)
    assert weights.sha256 == PACKAGED_SHA256
    assert verify(weights) == PACKAGED_SHA256


def test_an_operators_file_is_accepted_unpinned_and_its_hash_is_told(tmp_path):
    file = tmp_path / "own.gguf"
    file.write_bytes(b"GGUF own")

    assert verify(locate(file)) == hashlib.sha256(b"GGUF own").hexdigest()


def test_an_operators_pin_is_checked_in_either_case(tmp_path):
    file = tmp_path / "own.gguf"
    file.write_bytes(b"GGUF own")
    pin = hashlib.sha256(b"GGUF own").hexdigest()

    assert verify(locate(file, pin.upper())) == pin


def test_an_altered_file_is_refused_with_path_expected_and_found(tmp_path):
    file = tmp_path / "altered.gguf"
    file.write_bytes(b"GGUF altered")
    found = hashlib.sha256(b"GGUF altered").hexdigest()

    with pytest.raises(ModelUnavailableError) as caught:
        verify(Weights(file, PACKAGED_SHA256))
    for part in (str(file), PACKAGED_SHA256, found):
        assert part in str(caught.value)


@pytest.mark.parametrize("pin", [None, PACKAGED_SHA256])
def test_a_missing_file_is_refused_with_path_and_expected(tmp_path, pin):
    file = tmp_path / "missing.gguf"

    with pytest.raises(ModelUnavailableError, match="found no file") as caught:
        verify(Weights(file, pin))
    assert str(file) in str(caught.value)
    assert (pin or "none pinned") in str(caught.value)


def test_a_folder_in_the_files_place_is_refused(tmp_path):
    with pytest.raises(ModelUnavailableError, match="cannot be read"):
        verify(Weights(Path(tmp_path), None))
