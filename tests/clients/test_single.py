"""One request at a time: whatever the service does, there is an answer in time, and nothing is left behind."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import requests_mock

from aggregator.clients.single import SingleRequests
from aggregator.clients.wire import BUSY, CUT_OFF, TIMED_OUT, TOO_LARGE, UNREACHABLE, Reply, Request, TransportError
from tests.clients.conftest import SECONDS, SLACK
from tests.wire import (
    PRELIMINARY,
    deaf_port,
    drips,
    hangs,
    http,
    in_turn,
    informational,
    repeats,
    resets,
    says,
    wire,
)

OFFERS = (("Bearer", "secret-token"), ("X-Request-ID", "r-1"))
HEAD = http(length=100, body=b"")
BOMB = gzip.compress(b" " * 50_000_000)


@pytest.fixture
def single() -> Iterator[SingleRequests]:
    single = SingleRequests(seconds=SECONDS, max_bytes=100_000)
    yield single
    single._threads.shutdown()


def get(url: str) -> Request:
    return Request("GET", f"{url}/api/v1/products/1/offers", OFFERS)


def outcome(result: Reply | TransportError) -> Any:
    return result.reason if isinstance(result, TransportError) else result


def timed(call: Callable[[], Reply | TransportError]) -> tuple[Any, float]:
    started = time.monotonic()
    result = call()
    return outcome(result), time.monotonic() - started


class TestPlainAnswers:
    """Against a requests that never leaves the process."""

    @pytest.fixture(autouse=True)
    def mock(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[requests_mock.Mocker]:
        # The sessions have adapters of their own; the mock takes their place.
        with requests_mock.Mocker() as mock:
            yield mock

    def test_a_reply_is_its_status_type_and_body(self, single, mock):
        mock.get("http://offers/x", content=b"[1]", headers={"Content-Type": "application/json"})

        assert single.send(Request("GET", "http://offers/x")) == Reply(200, "application/json", b"[1]", None)

    @pytest.mark.parametrize("status", [201, 204, 400, 401, 404, 409, 422, 429, 500, 503])
    def test_no_status_is_an_error_here(self, single, mock, status):
        mock.post("http://offers/x", status_code=status, headers={"Retry-After": "soon"})

        assert single.send(Request("POST", "http://offers/x", (), b"")) == Reply(status, "", b"", "soon")

    def test_what_is_sent_is_what_was_asked_for_and_who_we_are(self, single, mock):
        mock.post("http://offers/x", content=b"")
        single.send(Request("POST", "http://offers/x", OFFERS, b'{"id":1}'))

        (sent,) = mock.request_history
        assert sent.body == b'{"id":1}'
        assert dict(sent.headers) == {
            "User-Agent": "product-aggregator",
            "Accept-Encoding": "identity",
            "Accept": "*/*",
            "Connection": "keep-alive",
            "Bearer": "secret-token",
            "X-Request-ID": "r-1",
            "Content-Length": "8",
        }

    @pytest.mark.parametrize(
        ("raised", "reason"),
        [
            (requests.ConnectTimeout, TIMED_OUT),
            (requests.ReadTimeout, TIMED_OUT),
            (requests.ConnectionError, UNREACHABLE),
            (requests.exceptions.SSLError, UNREACHABLE),
            (requests.exceptions.ChunkedEncodingError, CUT_OFF),
            (requests.exceptions.InvalidHeader, CUT_OFF),
            (OSError, CUT_OFF),
        ],
    )
    def test_whatever_requests_raises_becomes_a_reason(self, single, mock, raised, reason):
        mock.get("http://offers/x", exc=raised)

        assert outcome(single.send(Request("GET", "http://offers/x"))) == reason


class TestOverTheWire:
    def test_header_names_and_values_arrive_as_they_are(self, single):
        with wire(says(http(200, b"[]"))) as server:
            assert single.send(get(server.url)) == Reply(200, "application/json", b"[]", None)

        (heard,) = server.heard
        assert heard.line == "GET /api/v1/products/1/offers HTTP/1.1"
        assert heard.headers["Bearer"] == "secret-token"
        assert "Authorization" not in heard.headers

    def test_a_post_without_a_body_says_so(self, single):
        with wire(says(http(201, b"{}"))) as server:
            single.send(Request("POST", f"{server.url}/auth", (), b""))

        assert server.heard[0].headers["Content-Length"] == "0"

    def test_a_chunked_answer_is_put_together(self, single):
        chunked = http(length=-1, body=b"", Transfer_Encoding="chunked") + b"2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n"
        with wire(says(chunked)) as server:
            assert single.send(get(server.url)) == Reply(200, "application/json", b"[1]", None)

    def test_an_answer_without_a_length_ends_with_the_connection(self, single):
        with wire(says(http(length=-1, body=b"[1]"), keep=False)) as server:
            assert single.send(get(server.url)) == Reply(200, "application/json", b"[1]", None)

    @pytest.mark.parametrize("statuses", PRELIMINARY, ids=str)
    def test_informational_answers_are_skipped_until_the_final_one(self, single, statuses):
        with wire(says(informational(*statuses) + http(201, b"{}"))) as server:
            assert single.send(get(server.url)) == Reply(201, "application/json", b"{}", None)

    def test_more_than_twenty_of_them_are_no_answer(self, single):
        with wire(says(informational(*[103] * 21) + http())) as server:
            assert outcome(single.send(get(server.url))) == UNREACHABLE

    @pytest.mark.parametrize("said", ["0", "7", "1000000000", "-5", "garbage", "Mon, 04 May 2026 12:30:45 GMT", "nan"])
    def test_retry_after_is_passed_on_in_its_own_words(self, single, said):
        with wire(says(http(429, b"", Retry_After=said))) as server:
            assert single.send(get(server.url)) == Reply(429, "application/json", b"", said)

    def test_a_content_type_in_no_known_encoding_is_just_a_text(self, single):
        with wire(says(http(content_type="text/html; charset=\xff"))) as server:
            assert single.send(get(server.url)) == Reply(200, "text/html; charset=\xff", b"[]", None)


class TestWhatGoesWrong:
    @pytest.mark.parametrize(
        ("script", "reason"),
        [
            (resets, UNREACHABLE),
            (says(b"", keep=False), UNREACHABLE),
            (says(b"nonsense\r\n\r\n", keep=False), UNREACHABLE),
            (says(b"HTTP/1.1 two hundred OK\r\n\r\n", keep=False), UNREACHABLE),
            (says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", keep=False), UNREACHABLE),
            (says(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", keep=False), UNREACHABLE),
            (says(http(length=100, body=b"[1,2"), keep=False), CUT_OFF),
            (says(http(length=-1, body=b"", Transfer_Encoding="chunked") + b"zz\r\n", keep=False), CUT_OFF),
            (says(http(length=-1, body=b"", Transfer_Encoding="chunked") + b"9\r\n[1", keep=False), CUT_OFF),
        ],
        ids=[
            "reset",
            "closed without a word",
            "no HTTP",
            "no status",
            "endless header",
            "too many headers",
            "body cut off",
            "chunk without a size",
            "chunk cut off",
        ],
    )
    def test_a_broken_conversation_is_a_reason(self, single, script, reason):
        with wire(script) as server:
            assert outcome(single.send(get(server.url))) == reason

    def test_a_refused_connection_is_a_reason(self, single):
        assert outcome(single.send(get("http://127.0.0.1:9"))) == UNREACHABLE

    def test_a_name_that_nobody_knows_is_a_reason(self, single):
        assert outcome(single.send(get("http://offers.invalid"))) in (UNREACHABLE, TIMED_OUT)

    def test_a_plain_answer_to_a_tls_greeting_is_a_reason(self, single):
        with wire(says(http(400), keep=False)) as server:
            assert outcome(single.send(get(server.url.replace("http", "https")))) in (UNREACHABLE, CUT_OFF)

    @pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://127.0.0.1/x", "http://[", "http://127.0.0.1:99999/"])
    def test_a_url_that_is_none_is_a_reason(self, single, url):
        assert isinstance(single.send(Request("GET", url)), TransportError)

    @pytest.mark.parametrize("value", ["two\r\nlines", "\u20ac", "\ud800"])
    def test_a_header_that_cannot_be_sent_is_a_reason(self, single, value):
        with wire(says(http())) as server:
            assert isinstance(single.send(Request("GET", server.url, (("Bearer", value),))), TransportError)

        assert server.heard == []


class TestTheTimeLimit:
    @pytest.mark.parametrize(
        "script",
        [
            hangs,
            drips(http(body=b"x" * 100)),
            drips(HEAD + b"x" * 100, at_once=len(HEAD)),
            drips(http(length=-1, body=b"", Transfer_Encoding="chunked") + b"1\r\nx\r\n" * 100, at_once=70),
            drips(informational(103, 103) + http()),
        ],
        ids=["silence", "drip of headers", "drip of body", "drip of chunks", "drip of informational answers"],
    )
    def test_holds_for_the_whole_answer(self, single, script):
        with wire(script) as server:
            result, seconds = timed(lambda: single.send(get(server.url)))

        assert result == TIMED_OUT
        assert SECONDS - 0.05 <= seconds < SECONDS + SLACK

    def test_holds_where_nobody_takes_the_connection(self, single):
        with deaf_port() as url:
            result, seconds = timed(lambda: single.send(get(url)))

        assert result == TIMED_OUT
        assert seconds < SECONDS + SLACK

    def test_holds_for_a_tls_greeting_that_is_never_returned(self, single):
        with wire(hangs) as server:
            result, seconds = timed(lambda: single.send(get(server.url.replace("http", "https"))))

        assert result == TIMED_OUT
        assert seconds < SECONDS + SLACK

    def test_can_be_shorter_for_one_call_but_never_longer(self, single):
        with wire(hangs) as server:
            short = timed(lambda: single.send(get(server.url), 0.1))
            long = timed(lambda: single.send(get(server.url), 60))

        assert (short[0], long[0]) == (TIMED_OUT, TIMED_OUT)
        assert short[1] < 0.1 + SLACK
        assert long[1] < SECONDS + SLACK

    @pytest.mark.parametrize("seconds", [0, -1])
    def test_that_has_passed_already_keeps_the_call_from_being_made(self, single, seconds):
        with wire(says(http())) as server:
            assert outcome(single.send(get(server.url), seconds)) == TIMED_OUT

        assert server.connections == 0

    def test_is_shared_by_all_calls_within_it(self):
        single = SingleRequests(seconds=5)
        with wire(in_turn([drips(http(), pause=0.002), hangs, hangs]), choose=True) as server:
            send = single.within(0.6)
            first = timed(lambda: send(get(server.url)))
            second = timed(lambda: send(get(server.url)))
            third = timed(lambda: send(get(server.url)))

        assert isinstance(first[0], Reply)
        assert second[0] == third[0] == TIMED_OUT
        assert first[1] + second[1] + third[1] < 0.6 + SLACK
        assert third[1] < 0.05
        assert server.connections == 2


class TestTheSizeLimit:
    def test_is_what_an_answer_may_have_at_most(self, single):
        with wire(says(http(body=b"x" * 100_000))) as server:
            assert len(single.send(get(server.url)).body) == 100_000

    @pytest.mark.parametrize(
        "script",
        [
            says(http(body=b"x" * 100_001)),
            repeats(http(length=10**12, body=b""), b"x" * 65_536),
            repeats(http(length=-1, body=b""), b"x" * 65_536),
            repeats(http(length=-1, body=b"", Transfer_Encoding="chunked"), b"8000\r\n" + b"x" * 32_768 + b"\r\n"),
        ],
        ids=["one byte more", "endless with a length", "endless without one", "endless chunks"],
    )
    def test_ends_an_answer_that_is_larger(self, single, script):
        with wire(script) as server:
            result, seconds = timed(lambda: single.send(get(server.url)))

        assert result == TOO_LARGE
        assert seconds < SECONDS

    def test_holds_for_the_body_of_a_redirect_as_well(self, single):
        head = http(302, b"", length=10**12, Location="http://127.0.0.1:9/")
        with wire(repeats(head, b"x" * 65_536)) as server:
            assert outcome(single.send(get(server.url))) == TOO_LARGE

    @pytest.mark.parametrize("status", [200, 302, 404])
    def test_is_not_got_round_by_compression(self, single, status):
        bomb = http(status, BOMB, Content_Encoding="gzip", Location="/elsewhere")
        with wire(says(bomb)) as server:
            result = single.send(get(server.url))

        assert result == Reply(status, "application/json", BOMB, None)
        assert server.heard[0].headers["Accept-Encoding"] == "identity"


class TestTheTokenGoesToOnePlaceOnly:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_no_redirect_is_followed(self, single, status):
        with wire(says(http())) as elsewhere:
            target = f"{elsewhere.url}/steal"
            with wire(says(http(status, b"", Location=target))) as server:
                assert single.send(get(server.url)) == Reply(status, "application/json", b"", None)

            assert elsewhere.connections == 0
        assert len(server.heard) == 1

    @pytest.mark.parametrize("location", ["http://[", "http://", "//", "", "\x00", "http://:99999999/", "ö"])
    def test_a_redirect_to_nowhere_is_a_reply_too(self, single, location):
        with wire(says(http(302, b"", Location=location))) as server:
            assert single.send(get(server.url)) == Reply(302, "application/json", b"", None)

    def test_proxies_in_the_environment_are_ignored(self, single, proxies_everywhere):
        with wire(says(http())) as server:
            assert single.send(get(server.url)) == Reply(200, "application/json", b"[]", None)

        assert server.heard[0].line.split()[1].startswith("/")

    def test_passwords_in_netrc_are_ignored(self, single, monkeypatch, tmp_path):
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        with wire(says(http())) as server:
            single.send(get(server.url))

        assert "Authorization" not in server.heard[0].headers

    def test_no_cookie_is_kept(self, single):
        with wire(says(http(Set_Cookie="a=b; Path=/"))) as server:
            single.send(get(server.url))
            single.send(get(server.url))

        assert [heard.headers.get("Cookie") for heard in server.heard] == [None, None]


class TestSlots:
    def test_a_third_call_at_once_is_told_that_it_is_one_too_many(self):
        single = SingleRequests(seconds=5)
        release = threading.Event()

        def wait(connection):
            release.wait(5)
            return says(http())(connection)

        with wire(wait) as server, ThreadPoolExecutor(2) as others:
            waiting = [others.submit(single.send, get(server.url)) for _ in range(2)]
            while len(server.heard) < 2:
                time.sleep(0.005)
            third, seconds = timed(lambda: single.send(get(server.url)))
            release.set()
            replies = [future.result() for future in waiting]

        assert third == BUSY
        assert seconds < 0.1
        assert [reply.status for reply in replies] == [200, 200]

    @pytest.mark.parametrize(
        "script",
        [hangs, drips(http(body=b"x" * 100), pause=0.01), drips(HEAD + b"x" * 100, at_once=len(HEAD), pause=0.01)],
        ids=["silence", "drip of headers", "drip of body"],
    )
    def test_are_free_again_soon_after_a_time_out(self, script):
        single = SingleRequests(seconds=0.1)
        with wire(script) as server:
            for _ in range(6):
                results = [outcome(single.send(get(server.url)))]
                while (again := outcome(single.send(get(server.url)))) == BUSY:
                    time.sleep(0.001)
                results.append(again)
                assert results == [TIMED_OUT, TIMED_OUT]
                time.sleep(0.02)
        with wire(says(http())) as server:
            assert single.send(get(server.url)).status == 200

        assert len(single._threads._threads) <= 2, "a thread that was cut off is used again"
        single._threads.shutdown()

    def test_are_free_again_after_every_kind_of_failure(self, single):
        scripts = [
            resets,
            says(b"nonsense", keep=False),
            says(http(body=b"x" * 200_000)),
            says(http(length=9, body=b""), False),
        ] * 3
        with wire(in_turn([*scripts, says(http())]), choose=True) as server:
            results = [outcome(single.send(get(server.url))) for _ in scripts]
            last = single.send(get(server.url))

        assert results == [UNREACHABLE, UNREACHABLE, TOO_LARGE, CUT_OFF] * 3
        assert last.status == 200

    def test_a_connection_is_closed_after_its_one_request(self, single):
        with wire(says(http(), keep=True)) as server:
            for _ in range(3):
                single.send(get(server.url))
            deadline = time.monotonic() + 2
            while server.ended < 3 and time.monotonic() < deadline:
                time.sleep(0.005)

            assert (server.connections, server.ended) == (3, 3)

    def test_a_connection_that_timed_out_is_closed_as_well(self, single):
        with wire(hangs) as server:
            single.send(get(server.url), 0.05)
            deadline = time.monotonic() + 2
            while server.ended < 1 and time.monotonic() < deadline:
                time.sleep(0.005)

            assert (server.connections, server.ended) == (1, 1)
