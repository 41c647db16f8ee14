"""Connections that end when their time is up, also where it was up before there was one."""

import socket
import time
from collections.abc import Iterator

import pytest

from aggregator.clients.bounded import Limit, connected


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def run_out(limit: Limit) -> None:
    """Return once time is up."""
    deadline = time.monotonic() + 5
    while not limit.over and time.monotonic() < deadline:
        time.sleep(0.001)


class TestALimit:
    def test_that_ran_out_takes_no_connection_any_more(self, server):
        limit = Limit()
        with socket.create_connection(server.getsockname()) as sock, limit.within(0.01):
            run_out(limit)
            with pytest.raises(TimeoutError):
                limit.use(sock)

        assert (limit.over, limit.connected) == (True, False)

    def test_begins_anew_each_time(self, server):
        limit = Limit()
        with limit.within(0.01):
            run_out(limit)
        with limit.within(5), connected(*server.getsockname(), 1, limit):
            assert (limit.over, limit.connected) == (False, True)
            limit.forget()

    def test_that_runs_out_while_a_slow_resolver_is_asked_is_not_forgotten(self, server, monkeypatch):
        limit, real = Limit(), socket.getaddrinfo

        def slow(*what, **options):
            run_out(limit)
            return [*real(*what, **options), *real(*what, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", slow)
        with limit.within(5):
            limit.hurry(0.01)
            with pytest.raises(TimeoutError):
                connected(*server.getsockname(), 5, limit)

        assert not limit.connected
        server.accept()[0].close()
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # no other address is tried
            server.accept()
