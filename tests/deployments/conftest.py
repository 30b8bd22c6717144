"""Where the deployment's files are, and the parts of this folder that its tests import."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from real_prefect import full_server, served, webhook

__all__ = ["full_server", "served", "webhook"]
