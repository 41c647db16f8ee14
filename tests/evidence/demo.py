"""What somebody sees who tries the product for the first time."""

import os
import re
import signal
import subprocess
import sys

import requests

from tests.evidence.checks import Fact, Facts, check, within
from tests.evidence.stack import Stack
from tests.scenarios.processes import ROOT, free_port


@check("I30", "The demo is alive: a past, plausible prices, moves and an alert within two minutes", ("sqlite",))
def demo(stack: Stack) -> Facts:
    env = {"PATH": os.environ["PATH"], "PORT": str(free_port()), "SANDBOX_PORT": str(free_port())}
    output = stack.directory / "demo.txt"
    command = [sys.executable, "-m", "aggregator.cli.demo", str(stack.directory / "demo")]
    with output.open("w") as file, subprocess.Popen(command, cwd=ROOT, env=env, stdout=file) as process:
        try:
            within(60, lambda: "What moves:" in output.read_text())
            url = f"http://127.0.0.1:{env['PORT']}/api/v1/products"
            products = requests.get(url, timeout=10).json()
            trend = requests.get(f"{url}/{products[0]['id']}/price-trend", timeout=10).json()
            own = [product["price"] / product["lowest_price"] for product in products if product["price"]]
            yield Fact("enough data for a trend of 30 days at the first look", trend["enough_data"])
            yield Fact("own prices compared with the market's", [round(share, 2) for share in own], near_the_market)
            yield Fact("an alert within two minutes", bool(within(120, lambda: "Alert:" in output.read_text())))
            moves = within(60, lambda: re.findall(r"[+-][\d.]+ %", output.read_text()))
            yield Fact("moves that were printed", len(moves) > 0)
        finally:
            process.send_signal(signal.SIGINT)


def near_the_market(shares: list[float]) -> bool:
    """each between 0.8 and 1.6"""
    return bool(shares) and all(0.8 < share < 1.6 for share in shares)
