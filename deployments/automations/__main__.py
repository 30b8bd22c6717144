"""`python -m deployments.automations apply [--pause | --no-pause]`: on the server of PREFECT_API_URL, as often as wanted."""

import argparse
import asyncio

from deployments.automations.applying import apply_definitions
from ffe.settings import load_settings


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m deployments.automations")
    commands = parser.add_subparsers(dest="command", required=True)
    applying = commands.add_parser("apply", help="make, update and retire automations and their notification blocks")
    applying.add_argument(
        "--pause",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether repeated crashes pause the deployment that crashes",
    )
    given = parser.parse_args(argv)
    print(asyncio.run(apply_definitions(load_settings().notify, pause=given.pause)))


if __name__ == "__main__":
    main()
