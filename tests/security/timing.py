"""How long a login takes that fails: `python -m tests.security.timing`. Who measures it must not learn who is a user.

Tries with a name that nobody has and with a wrong password alternate. It prints both medians and by how much they
differ, and exits with 1 if that is 5 % or more.
"""

import logging
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from flask.testing import FlaskClient

from aggregator.config import Settings
from aggregator.services.passwords import hashed
from tests.apps import NO_SERVICE, apps
from tests.builders import make_user
from tests.databases import migrate, sqlite_url

TRIES = 200
WARM_UP = 10
MOST = 0.05
UNLIMITED = {"logins_per_address": 10**6, "logins_per_account": 10**6}


def seconds(client: FlaskClient, name: str) -> float:
    """How long a try with a wrong password takes."""
    begun = time.perf_counter()
    answer = client.post("/api/v1/auth/login", json={"username": name, "password": "a wrong password"})
    took = time.perf_counter() - begun
    assert answer.status_code == 401
    return took


def measured(client: FlaskClient, name: str) -> tuple[float, float]:
    """The medians of tries with names that nobody has, and of as many with a user's name."""
    unknown, wrong = [], []
    for number in range(WARM_UP + TRIES):
        # Who comes first takes turns, too: what the machine does next to this must not fall on one of them.
        for kind in (unknown, wrong) if number % 2 else (wrong, unknown):
            kind.append(seconds(client, f"nobody-{number}" if kind is unknown else name))
    return median(unknown[WARM_UP:]), median(wrong[WARM_UP:])


def main() -> int:
    with tempfile.TemporaryDirectory() as directory, apps() as start:
        url = sqlite_url(Path(directory) / "timing.db")
        migrate(url)
        app = start(Settings(url, NO_SERVICE, **UNLIMITED))
        logging.disable()
        make_user(app, username="somebody", password_hash=hashed("the right password"))
        unknown, wrong = measured(app.test_client(), "somebody")
    difference = abs(unknown - wrong) / min(unknown, wrong)
    print(f"unknown user    {unknown * 1000:7.2f} ms, median of {TRIES}")
    print(f"wrong password  {wrong * 1000:7.2f} ms, median of {TRIES}")
    print(f"difference      {difference:7.2%}, less than {MOST:.0%} is wanted")
    return 0 if difference < MOST else 1


if __name__ == "__main__":
    sys.exit(main())
