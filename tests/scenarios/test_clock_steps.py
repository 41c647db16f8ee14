"""A worker whose host's clock is set by hours while it runs."""

import subprocess
import sys

import pytest

from aggregator.models import Feed
from aggregator.sandbox import Registration as Known
from aggregator.sandbox.v2 import ACCOUNT
from tests.builders import make_product, stored
from tests.flows.passes import assert_sound, statuses
from tests.scenarios.processes import ROOT, environment, eventually, worker
from tests.wall_clock import NoCompiler, WallClock

STEPS = (-7_200, 7_200, 0)


@pytest.fixture
def clock(tmp_path) -> WallClock:
    try:
        return WallClock.in_folder(tmp_path)
    except NoCompiler as error:
        pytest.skip(str(error))


def test_goes_on_and_is_known_to_be_alive(app, sandbox, database_url, clock, tmp_path):
    product_id = str(make_product(app))
    sandbox._service.products[ACCOUNT, product_id] = Known(product_id, "", "")
    env = environment(database_url, sandbox.url, SYNC_INTERVAL_SECONDS="1", **clock.env)

    def market() -> int | None:
        return min((row["price"] for row in sandbox.offers_of(product_id) if row["items_in_stock"]), default=None)

    def is_followed() -> bool:
        return [feed.lowest_price for feed in stored(app, Feed)] == [market()]

    with worker(env, tmp_path / "worker.log") as at_work:
        eventually(is_followed, 30)
        for ahead in STEPS:
            clock.set(ahead)
            before = market()
            while market() == before:
                sandbox.advance()
            eventually(is_followed, 20)
        check = subprocess.run([sys.executable, "worker.py", "--check"], cwd=ROOT, env=env, capture_output=True)
        assert at_work.stop() == 0

    assert check.returncode == 0
    assert set(statuses(sandbox, "offers")) == {200}
    assert "Traceback" not in at_work.said
    assert_sound(app)
