"""`python -m simulator`."""

import sys

from simulator.serve import main

if __name__ == "__main__":
    sys.exit(main())
