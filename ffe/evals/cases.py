"""The cases that every model is asked: real bars, frozen in a file of this package, so that two evaluations compare.

`python -m benchmarks.eval_cases FOLDER` makes the file. Its sha256 goes into every result: other cases are another examination.
"""

import hashlib
import json
from importlib.resources import files

from ffe.errors import ConfigurationError, DataError
from ffe.evals.models import CaseSet

PACKAGED = "cases.json"


def load_cases(limit: int | None = None) -> CaseSet:
    """The packaged cases, the first `limit` of them or all.

    Raises:
        ConfigurationError: more are wanted than there are.
    """
    found = read_cases((files("ffe.evals") / PACKAGED).read_bytes())
    if limit is None:
        return found
    if limit > len(found.cases):
        raise ConfigurationError(f"--cases {limit} is more than the {len(found.cases)} cases that there are")
    return found.model_copy(update={"cases": found.cases[:limit]})


def read_cases(content: bytes) -> CaseSet:
    """The case set in the bytes of a file.

    Raises:
        DataError: not a case set.
    """
    try:
        document = json.loads(content)
        return CaseSet.model_validate(document | {"sha256": hashlib.sha256(content).hexdigest()})
    except (ValueError, TypeError) as error:
        raise DataError(f"the file of evaluation cases can't be read: {error}") from error
