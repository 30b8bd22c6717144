"""Does this address answer? `python -I -S probe.py [--wait SECONDS] URL`: exit 0 for a 2xx answer, else 1 and why.

A slim image has no curl. Run by path and isolated, it imports nothing but the standard library. `--wait` asks until it answers, for a
service manager that starts the next unit when this one is really there.
"""

import argparse
import sys
import time
import urllib.error
import urllib.request

TIMEOUT = 4.0
PAUSE = 0.25


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="probe.py")
    parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("url", type=_http)
    given = parser.parse_args(argv)
    deadline = time.monotonic() + given.wait
    while True:
        problem = answer_of(given.url)
        if problem is None:
            return 0
        if time.monotonic() >= deadline:
            print(f"{given.url}: {problem}", file=sys.stderr)
            return 1
        time.sleep(PAUSE)


def answer_of(url: str) -> str | None:
    """Why that was no 2xx answer; None when it was."""
    # No proxy of the environment: it is this machine that is asked.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT):
            return None
    except (urllib.error.URLError, OSError) as error:
        return str(error)


def _http(text: str) -> str:
    if not text.startswith("http://"):
        raise argparse.ArgumentTypeError(f"{text!r} does not start with http://")
    return text


if __name__ == "__main__":
    sys.exit(main())
