"""What the tests of both transports share."""

import pytest

# Chosen so that a time-out is told from an answer on a machine that is busy with other things.
SECONDS = 0.5
SLACK = 0.4


@pytest.fixture
def proxies_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that would send every request to a proxy which is not there."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        for spelled in (name, name.upper()):
            monkeypatch.setenv(spelled, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
