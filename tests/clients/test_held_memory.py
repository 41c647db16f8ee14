"""How much of answers is held in memory: counted chunk by chunk, whatever the transfer library checks by itself."""

import pytest

from aggregator.clients import many
from aggregator.clients.many import ManyRequests, _Held, _Transfer
from aggregator.clients.wire import TOO_LARGE, Request, TransportError
from tests.wire import http, says, wire


@pytest.fixture
def transfer():
    """Makes what receives an answer of ten bytes at most, beside others that hold so much already."""
    made = []

    def transfer(others: int = 0) -> _Transfer:
        one = _Transfer(5.0, 10, _Held(others), None)
        made.append(one)
        one.load("key", Request("GET", "http://127.0.0.1:9/", ()))
        return one

    yield transfer
    for one in made:
        one.handle.close()


def test_chunks_are_taken_until_there_is_one_too_many(transfer):
    one = transfer()

    assert [one._receive(b"xxxxx") for _ in range(3)] == [5, 5, 0]  # 0: give up


def test_all_answers_together_have_a_limit(transfer):
    assert transfer(many.MAX_HELD_BYTES - 5)._receive(b"xxxxx") == 5
    assert transfer(many.MAX_HELD_BYTES - 4)._receive(b"xxxxx") == 0


def test_an_answer_that_does_not_fit_beside_the_others_is_too_large(monkeypatch):
    monkeypatch.setattr(many, "MAX_HELD_BYTES", 150_000)
    with wire(says(http(body=b"x" * 100_000))) as server:
        requests = [(number, Request("GET", server.url, ())) for number in range(2)]
        came = [done[1] for done in ManyRequests(concurrency=1).exchange(requests) if done]
        assert [isinstance(reply, TransportError) for reply in came] == [False, False]  # one after the other

    with wire(says(http(body=b"x" * 200_000))) as server:
        ((_, failure),) = [done for done in ManyRequests().exchange([(1, Request("GET", server.url, ()))]) if done]
        assert isinstance(failure, TransportError)
        assert str(failure.reason) == TOO_LARGE
