"""The worker process: `python worker.py`; `python worker.py --check` tells whether one is alive."""

from aggregator.cli.worker import main

main()
