"""What is installed: the locked versions, one known complaint, and no registry named anywhere."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
KNOWN = "coinbase-advanced-py 1.8.4 has requirement websockets<14.0,>=12.0"


def test_pip_check_has_one_complaint_and_it_is_the_known_one() -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1, done.stdout
    assert lines[0].startswith(KNOWN)


def test_the_streaming_client_behind_that_complaint_is_never_imported() -> None:
    code = "import sys, ffe.venues.clients, coinbase.rest; sys.exit('websockets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_lock_names_an_address_and_every_pin_is_hashed() -> None:
    for name in ("requirements.lock", "requirements-dev.lock", "requirements-model.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        pins = re.findall(r"^[A-Za-z0-9_.-]+(?:\[[^\]]*\])?==", text, re.MULTILINE)
        assert pins
        assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) >= len(pins)
