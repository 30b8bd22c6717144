"""`python -m ffe.warm MODULE ARGUMENTS` is `python -m MODULE ARGUMENTS`, from a preloaded process where a fork server offers one.

The variable FORK_SERVER names the server's Unix socket. Without it, and whenever the server can't or won't take the run, this very
process becomes MODULE, so that a stock Prefect worker runs the same deployments. Only the standard library, and little of that:
this is an interpreter start in front of every run.
"""

import os
import sys

SERVER = "FORK_SERVER"


def main(arguments: list[str]) -> None:
    if not arguments:
        sys.exit("usage: python -m ffe.warm MODULE [ARGUMENT ...]")
    module, *rest = arguments
    path = os.environ.get(SERVER)
    if path and sys.platform == "linux":
        from ffe.warm import client

        status = client.run(path, module, rest)
        if status is not None:
            client.end_like(status)
    _become(module, rest)


def _become(module: str, arguments: list[str]) -> None:
    import runpy

    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
