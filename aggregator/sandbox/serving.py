"""Run a sandbox until a signal says stop; `python -m aggregator.sandbox` and `flask sandbox run` share it."""

import argparse
import errno
import signal
import sys
import time
from collections.abc import Callable, Sequence

from aggregator.sandbox.faults import KINDS
from aggregator.sandbox.sandbox import DEFAULT_REFRESH_TOKEN, GENERATIONS, Sandbox

DEFAULT_PORT = 8001
LOOK_SECONDS = 0.2
FAULT_HELP = (
    "A fault to play, as KIND[=VALUE][:RATE][@ENDPOINT], e.g. 503:0.1 or drip@offers; RATE is the share of "
    "products hit, ENDPOINT is auth, register or offers. May be given several times; of those that hit a "
    "call the first counts."
)
LIVELY_HELP = "Let prices move a lot, with sales and sell-outs, for people who watch."
OPTIONS = (
    ("--host", "127.0.0.1", "Where to listen"),
    ("--port", DEFAULT_PORT, "0 for any that is free"),
    ("--seed", 0, "Another seed is another market"),
    ("--tick", 60.0, "Seconds between two prices"),
    ("--latency-ms", 0.0, "Delay before each answer"),
    ("--token-ttl", 300.0, "Seconds a token lives"),
    ("--refresh-token", DEFAULT_REFRESH_TOKEN, "What opens /auth"),
)


def describe_kinds() -> str:
    """One line for each kind of fault."""
    return "\n".join(f"  {name:13} {kind.meaning}" for name, kind in KINDS.items())


def serve(sandbox: Sandbox, say: Callable[[str], object] | None = None) -> int:
    """Run the sandbox until SIGINT or SIGTERM; returns the exit code, 1 when it cannot listen."""
    stopped: list[int] = []  # no Event: a signal that comes while its lock is held would wait for ever
    # They stay in place afterwards: whoever stops a group of processes often signals twice, and the second
    # signal must be no error.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: stopped.append(number))
    try:
        sandbox.start()
    except OSError as error:
        print(_why_not(sandbox, error), file=sys.stderr)
        return 1
    (say or _print_at_once)(_welcome(sandbox))
    while not stopped:
        time.sleep(LOOK_SECONDS)
    sandbox.stop()
    return 0


def _print_at_once(line: str) -> None:
    print(line, flush=True)


def _welcome(sandbox: Sandbox) -> str:
    settings = f"OFFERS_BASE_URL={sandbox.url}"
    if sandbox.generation == "v2":
        settings += f" OFFERS_REFRESH_TOKEN={sandbox.refresh_token}"
    return f"The offers sandbox ({sandbox.generation}) is at {sandbox.url}; use {settings}"


def _why_not(sandbox: Sandbox, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{sandbox.url} is already in use; choose another port with --port, or 0 for any that is free."
    return f"Cannot listen at {sandbox.url}: {error.strerror or error}."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m aggregator.sandbox",
        description="Run an offers service of your own.",
        epilog=f"Kinds of faults:\n{describe_kinds()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, default, meaning in OPTIONS:
        text = f"{meaning} (default: %(default)s)."
        parser.add_argument(name, type=type(default), default=default, metavar="VALUE", help=text)
    parser.add_argument("--generation", choices=GENERATIONS, default="v2", help="Default: %(default)s.")
    parser.add_argument("--fault", action="append", default=[], dest="faults", metavar="KIND", help=FAULT_HELP)
    parser.add_argument("--lively", action="store_true", help=LIVELY_HELP)
    parser.add_argument("--verbose", action="store_true", help="Write a line for each request.")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """What `python -m aggregator.sandbox` does; returns the exit code."""
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    try:
        sandbox = Sandbox(**options, record=False)
    except ValueError as error:
        parser.error(str(error))
    return serve(sandbox)
