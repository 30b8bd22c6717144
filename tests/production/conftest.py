"""Makes the harness importable, with the database servers of the deployments' tests."""

import sys
from pathlib import Path

for _folder in ("production", "deployments"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / _folder))
