"""The worker process: `python worker.py`; `python worker.py --check` tells whether one is alive on this host."""

import sys

from aggregator.app import start
from aggregator.jobs.worker import main

if __name__ == "__main__":
    sys.exit(main(start(), sys.argv[1:]))
