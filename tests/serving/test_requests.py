"""When enough of a request has arrived for a thread to begin."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.serving.requests import MAX_HEAD, MAX_WHOLE, Incoming, Progress

GET = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"
SIZED = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("received", "progress"),
    [
        (b"", Progress.HEAD),
        (b"GET / HTTP/1.1\r\nHost: shop\r\n", Progress.HEAD),
        (GET, Progress.WHOLE),
        (GET + GET, Progress.WHOLE),
        (SIZED, Progress.BODY),
        (SIZED + b"1234", Progress.BODY),
        (SIZED + b"12345", Progress.WHOLE),
        (b"POST / HTTP/1.1\r\ncontent-length:5\r\n\r\n1234", Progress.BODY),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" + MAX_WHOLE * b"x", Progress.LARGE),
        (b"POST / HTTP/1.1\r\nContent-Length: 65536\r\n\r\n", Progress.BODY),
        (b"POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", Progress.LARGE),
        (CHUNKED, Progress.BODY),
        (CHUNKED + b"10001\r\n" + 0x10001 * b"x", Progress.LARGE),
        (CHUNKED + b"5\r\n12345\r\n", Progress.BODY),
        (CHUNKED + b"5\r\n12345\r\n0\r\n", Progress.BODY),
        (CHUNKED + b"5\r\n12345\r\n0\r\n\r\n", Progress.WHOLE),
        (CHUNKED + b"5;name=value\r\n12345\r\n0\r\nTrailer: x\r\n\r\n", Progress.WHOLE),
        (CHUNKED + b"5\r\n12345\r\n0\r\nTrailer: x\r\n", Progress.BODY),
        (CHUNKED + b"8\r\n12\r\n\r\n34", Progress.BODY),
        (CHUNKED + b"no chunk\r\n", Progress.WHOLE),
        (CHUNKED + b"F" * 1_000 + b"\r\n", Progress.WHOLE),
        (CHUNKED + b"5 ;a=b\r\n12", Progress.BODY),
        (CHUNKED + 2000 * b"5", Progress.WHOLE),
        (b"GET / HTTP/1.1\r\nX: " + MAX_HEAD * b"x", Progress.TOO_LARGE),
    ],
)
def test_what_has_arrived_is_told_apart(received, progress):
    assert Incoming().feed(received) is progress


@given(
    request=st.sampled_from(
        [GET, SIZED + b"12345", CHUNKED + b"5\r\n12345\r\n0\r\n\r\n", CHUNKED + b"1\r\nx\r\n0\r\nA: b\r\n\r\n"]
    ),
    cuts=st.lists(st.integers(1, 80), max_size=8),
)
def test_a_request_is_whole_with_its_last_byte_however_it_arrives(request, cuts):
    places = sorted({0, *(cut for cut in cuts if cut < len(request)), len(request)})
    incoming = Incoming()

    seen = [incoming.feed(request[start:end]) for start, end in pairwise(places)]

    assert seen[-1] is Progress.WHOLE
    assert Progress.WHOLE not in seen[:-1]
    assert incoming.take() == request


def test_after_one_request_the_next_begins():
    incoming = Incoming()
    incoming.feed(SIZED + b"12345")
    incoming.take()

    assert not incoming
    assert incoming.feed(SIZED) is Progress.BODY


@pytest.mark.parametrize(("expect", "waits"), [(b"Expect: 100-continue\r\n", True), (b"", False)])
def test_a_client_that_waits_to_be_asked_for_its_body_is_noticed(expect, waits):
    incoming = Incoming()
    incoming.feed(b"POST / HTTP/1.1\r\n" + expect + b"Content-Length: 5\r\n\r\n")

    assert incoming.expects_continue is waits
