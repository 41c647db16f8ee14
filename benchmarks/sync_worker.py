"""The worker process that benchmarks.sync measures: a pass for each line on stdin, its figures on stdout."""

import json
import resource
import sys
import threading
import time

from flask import Flask

from aggregator.clients.offer_rows import parse_offers
from aggregator.clients.wire import Reply
from aggregator.extensions import sync_settings, tokens
from aggregator.flows.sync import Sync
from aggregator.jobs import announcements, history
from aggregator.jobs.run import Run
from aggregator.jobs.worker import settle_garbage_collector
from benchmarks.stub import product_ids
from benchmarks.sync import SEED, app_for


def parse_all(ids: list[str]) -> dict[str, float]:
    """The same requests and the same parsing, and nothing else."""
    service = tokens().service
    headers = service.headers("token", "benchmark")
    started = time.perf_counter()
    for ended in sync_settings().requests.exchange((i, service.offers_request(headers, i)) for i in ids):
        if ended is not None:
            _, reply = ended
            assert isinstance(reply, Reply)
            parse_offers(reply.body)
    return {"seconds": time.perf_counter() - started}


class RollUp:
    """The job that rolls up old prices, in a thread beside the sync as in every worker."""

    def __init__(self, app: Flask) -> None:
        self.app = app

    def start(self) -> dict[str, float]:
        """Have it begin."""
        self.run, self.started, self.summary = Run(), time.perf_counter(), {}
        self.thread = threading.Thread(target=self._work)
        self.thread.start()
        return {}

    def stop(self) -> dict[str, float]:
        """What it did until now."""
        self.run.stop.set()
        self.thread.join()
        return {"seconds": time.perf_counter() - self.started, **self.summary}

    def _work(self) -> None:
        with self.app.app_context():
            self.summary = dict(history.roll_up(self.run))


def main() -> None:
    """Do what the lines on stdin say."""
    database, stub, products = sys.argv[1:]
    app, ids = app_for(database, stub), product_ids(int(products), SEED)
    roll_up = RollUp(app)
    settle_garbage_collector()
    with app.app_context():
        for line in sys.stdin:
            if line.strip() == "parse":
                result = parse_all(ids)
            elif line.strip() in ("start", "stop"):
                result = getattr(roll_up, line.strip())()
            else:
                started = time.perf_counter()
                done = Sync(app, tokens(), sync_settings()).run()
                if line.strip() == "cycle":
                    done.update(announcements.announce(Run()))
                result = {"seconds": time.perf_counter() - started, **done}
            result["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
