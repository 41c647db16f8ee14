"""Whatever is sent, by whomever: the API answers as its document says, and gives nobody what is not theirs."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy.engine import URL

from aggregator.sandbox import Sandbox
from tests.flows.passes import assert_sound
from tests.scenarios.processes import answers, environment, eventually, web
from tests.security.attack import CALLERS, ENVIRONMENT, SETTINGS, attack, furnish

EXAMPLES = 6  # of each operation; `make fuzz` takes its time and tries more
SEED = 20_261_120


@pytest.mark.evidence
@pytest.mark.parametrize("caller", CALLERS)
def test_every_answer_is_as_documented(
    make_app: Callable[..., Flask], database_url: URL, sandbox: Sandbox, tmp_path: Path, caller: str
) -> None:
    app = make_app(**SETTINGS)
    furnish(app, products=12)
    with web(environment(database_url, sandbox.url, **ENVIRONMENT), tmp_path / "web.log", workers=1) as site:
        eventually(lambda: answers(site.url))

        findings = attack(app, site.url, caller, EXAMPLES, SEED)

    assert findings.failures == {}
    assert findings.errors == []
    assert findings.served == findings.served_to(caller)
    assert '"level": "error"' not in site.said
    assert_sound(app)
