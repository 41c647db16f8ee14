"""Many requests at a time: each ends by itself, in time, and no slow one holds up the others."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from aggregator.clients.many import ManyRequests
from aggregator.clients.offers import MAX_RETRY_AFTER
from aggregator.clients.wire import (
    CUT_OFF,
    TIMED_OUT,
    TOO_LARGE,
    UNREACHABLE,
    Reply,
    Request,
    TransportError,
    retry_after_seconds,
)
from tests.clients.conftest import SECONDS, SLACK
from tests.wire import (
    PRELIMINARY,
    Heard,
    Script,
    Wire,
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

HEADERS = (("Bearer", "secret-token"), ("Content-Type", "application/json"))
HEAD = http(length=100, body=b"")
BOMB = gzip.compress(b" " * 50_000_000)
HAPPY = Reply(200, "application/json", b"[]", None)


def get(url: str, number: int = 0) -> Request:
    return Request("GET", f"{url}/{number}", HEADERS)


def outcomes(many: ManyRequests, requests: Iterable[tuple[Any, Request] | None]) -> dict[Any, Any]:
    """What becomes of requests, by key; a failure as its reason."""
    return dict(named(ended) for ended in many.exchange(requests) if ended is not None)


def named(ended: tuple[Any, Reply | TransportError]) -> tuple[Any, Any]:
    key, result = ended
    return key, result.reason if isinstance(result, TransportError) else result


def one(request: Request, seconds: float = SECONDS, max_bytes: int = 100_000) -> Any:
    """What becomes of a request, followed by another on the same handle, which must not notice."""
    return outcomes(ManyRequests(1, seconds, max_bytes), [(0, request)])[0]


def by_number(scripts: Callable[[int], Script]) -> Callable[[Heard], Script]:
    """A play for wire(choose=True): what the number at the end of the path asks for."""
    return lambda heard: scripts(int(heard.path.rpartition("/")[2]))


def eventually(condition: Callable[[], bool], seconds: float = 2.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


class TestPlainAnswers:
    def test_nothing_to_do_is_done_at_once(self):
        assert list(ManyRequests().exchange([])) == []

    def test_each_reply_comes_with_its_key(self):
        with wire(by_number(lambda n: says(http(body=b"[%d]" % n))), choose=True) as server:
            found = outcomes(ManyRequests(4), ((n, get(server.url, n)) for n in range(50)))

        assert found == {n: Reply(200, "application/json", b"[%d]" % n, None) for n in range(50)}

    @pytest.mark.parametrize("status", [201, 204, 301, 400, 401, 404, 409, 422, 500, 502])
    def test_no_status_is_an_error_here(self, status):
        body = b"" if status == 204 else b"{}"
        with wire(says(http(status, body, length=-1 if status == 204 else None))) as server:
            assert one(get(server.url)) == Reply(status, "application/json", body, None)

    def test_a_reply_without_a_content_type_has_an_empty_one(self):
        with wire(says(http(content_type=None))) as server:
            assert one(get(server.url)) == Reply(200, "", b"[]", None)

    def test_a_content_type_in_no_known_encoding_is_just_a_text(self):
        with wire(says(http(content_type="text/html; charset=\xff"))) as server:
            assert one(get(server.url)) == Reply(200, "text/html; charset=\xff", b"[]", None)

    def test_what_is_sent_is_what_was_asked_for_and_who_we_are(self):
        with wire(says(http())) as server:
            one(get(server.url, 7))

        (heard,) = server.heard
        assert heard.line == "GET /7 HTTP/1.1"
        assert heard.headers == {
            "Host": server.url.removeprefix("http://"),
            "User-Agent": "product-aggregator",
            "Accept": "*/*",
            "Bearer": "secret-token",
            "Content-Type": "application/json",
        }

    def test_posts_and_gets_take_turns_on_one_connection_without_leaving_traces(self):
        post = Request("POST", "", HEADERS, '{"name":"ö"}'.encode())
        with wire(says(http())) as server:
            posts = [Request("POST", f"{server.url}/{n}", (("X-N", str(n)),), post.body) for n in (0, 2)]
            gets = [Request("GET", f"{server.url}/{n}", (("X-N", str(n)),)) for n in (1, 3)]
            order = [posts[0], gets[0], posts[1], gets[1]]
            found = outcomes(ManyRequests(1), enumerate(order))

        assert list(found.values()) == [HAPPY] * 4
        assert [heard.line.split()[0] for heard in server.heard] == ["POST", "GET", "POST", "GET"]
        assert [heard.body for heard in server.heard] == [post.body, b"", post.body, b""]
        assert [heard.headers["X-N"] for heard in server.heard] == ["0", "1", "2", "3"]
        assert "Content-Length" not in server.heard[1].headers
        assert server.connections == 1

    def test_a_large_body_is_sent_without_asking_first(self):
        body = b"x" * 1_000_000
        with wire(says(http())) as server:
            assert one(Request("POST", server.url, HEADERS, body), seconds=5) == HAPPY

        assert server.heard[0].body == body

    @pytest.mark.parametrize("statuses", PRELIMINARY, ids=str)
    def test_informational_answers_are_skipped_until_the_final_one(self, statuses):
        with wire(says(informational(*statuses) + http())) as server:
            many = ManyRequests(1, SECONDS)
            assert outcomes(many, [(n, get(server.url, n)) for n in range(3)]) == dict.fromkeys(range(3), HAPPY)


class TestOrder:
    def test_answers_come_as_they_end_and_not_as_they_were_asked_for(self):
        gates = [threading.Event() for _ in range(4)]

        def answer(number: int) -> Script:
            return lambda connection: gates[number].wait(5) and says(http())(connection)

        order: list[int] = []
        gates[3].set()
        with wire(by_number(answer), choose=True) as server:
            for ended in ManyRequests(4).exchange((n, get(server.url, n)) for n in range(4)):
                if ended is not None:
                    order.append(ended[0])
                    if ended[0]:
                        gates[ended[0] - 1].set()

        assert order == [3, 2, 1, 0]

    def test_no_more_than_the_concurrency_are_under_way(self):
        running, most = set(), []

        def answer(number: int) -> Script:
            def script(connection: socket.socket) -> bool:
                running.add(number)
                most.append(len(running))
                threading.Event().wait(0.01)
                running.discard(number)
                return says(http())(connection)

            return script

        with wire(by_number(answer), choose=True) as server:
            outcomes(ManyRequests(3), ((n, get(server.url, n)) for n in range(30)))

        assert max(most) == 3

    def test_requests_are_drawn_only_when_there_is_room_for_them(self):
        drawn = []

        def requests(url: str):
            for n in range(10):
                drawn.append(n)
                yield n, get(url, n)

        with wire(says(http())) as server:
            exchange = ManyRequests(2).exchange(requests(server.url))
            while next(exchange) is None:
                pass
            assert len(drawn) <= 3
            exchange.close()


class TestNothingJustNow:
    def test_a_none_among_the_requests_does_not_end_them(self):
        with wire(says(http())) as server:
            requests = [None, (1, get(server.url)), None, None, (2, get(server.url)), None]
            found = list(ManyRequests(2).exchange(requests))

        assert [named(ended) for ended in found if ended] == [(1, HAPPY), (2, HAPPY)]

    def test_a_none_among_the_answers_says_that_there_is_time_to_do_something_else(self):
        with wire(hangs) as server:
            found = list(ManyRequests(1, SECONDS).exchange([(1, get(server.url))]))

        assert 5 <= found.count(None) <= 40
        assert named(found[-1]) == (1, TIMED_OUT)

    def test_waiting_for_requests_costs_no_processor_time(self):
        started = time.monotonic()

        def requests():
            while time.monotonic() < started + 0.5:
                yield None

        before = time.process_time()
        assert set(ManyRequests(2).exchange(requests())) <= {None}
        assert time.process_time() - before < 0.1

    def test_waiting_for_an_answer_costs_no_processor_time(self):
        with wire(hangs) as server:
            before = time.process_time()
            outcomes(ManyRequests(4, seconds=0.5), ((n, get(server.url)) for n in range(4)))

            assert time.process_time() - before < 0.15

    def test_waiting_for_a_handshake_costs_no_processor_time(self):
        with deaf_port() as url:
            before = time.process_time()
            outcomes(ManyRequests(4, seconds=0.5), ((n, get(url)) for n in range(4)))

            assert time.process_time() - before < 0.15


class TestWhatGoesWrong:
    @pytest.mark.parametrize(
        ("script", "reason"),
        [
            (resets, CUT_OFF),
            (says(b"", keep=False), CUT_OFF),
            (says(b"nonsense\r\n\r\n", keep=False), UNREACHABLE),
            (says(b"HTTP/1.1 two hundred OK\r\n\r\n", keep=False), UNREACHABLE),
            (says(http(length=100, body=b"[1,2"), keep=False), CUT_OFF),
            (says(http(length=-1, body=b"", Transfer_Encoding="chunked") + b"zz\r\n", keep=False), CUT_OFF),
            (says(http(length=-1, body=b"", Transfer_Encoding="chunked") + b"9\r\n[1", keep=False), CUT_OFF),
        ],
        ids=[
            "reset",
            "closed without a word",
            "no HTTP",
            "no status",
            "body cut off",
            "chunk without a size",
            "chunk cut off",
        ],
    )
    def test_a_broken_conversation_is_a_reason(self, script, reason):
        with wire(script) as server:
            assert one(get(server.url)) == reason

    @pytest.mark.parametrize(
        "script",
        [
            says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2_000_000 + b"\r\n\r\n", keep=False),
            repeats(b"HTTP/1.1 200 OK\r\n", b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 100),
        ],
        ids=["endless header", "endless headers"],
    )
    def test_headers_without_end_are_given_up_before_the_time_is(self, script):
        started = time.monotonic()
        with wire(script) as server:
            assert one(get(server.url), seconds=5) in (UNREACHABLE, CUT_OFF, TOO_LARGE)

        assert time.monotonic() - started < 2

    def test_a_refused_connection_is_a_reason(self):
        assert one(get("http://127.0.0.1:9")) == UNREACHABLE

    def test_a_name_that_nobody_knows_is_a_reason(self):
        assert one(get("http://offers.invalid"), seconds=2) in (UNREACHABLE, TIMED_OUT)

    @pytest.mark.parametrize("url", ["http://", "http://[", "ftp://127.0.0.1/x", "file:///etc/passwd", "gopher://x/"])
    def test_a_url_that_is_none_of_http_is_a_reason(self, url):
        assert one(Request("GET", url)) == UNREACHABLE

    def test_a_plain_answer_to_a_tls_greeting_is_a_reason(self):
        with wire(says(http(400), keep=False)) as server:
            assert one(get(server.url.replace("http", "https"))) in (UNREACHABLE, CUT_OFF)

    def test_each_failure_is_its_own_and_the_rest_is_answered(self):
        bad = {1: resets, 5: hangs, 9: says(b"nonsense", keep=False), 13: says(http(body=b"x" * 200_000))}
        with wire(by_number(lambda n: bad.get(n, says(http()))), choose=True) as server:
            found = outcomes(ManyRequests(4, SECONDS, 100_000), ((n, get(server.url, n)) for n in range(20)))

        assert {n: found.pop(n) for n in bad} == {1: CUT_OFF, 5: TIMED_OUT, 9: UNREACHABLE, 13: TOO_LARGE}
        assert list(found.values()) == [HAPPY] * 16

    def test_a_handle_that_has_failed_is_as_good_as_new(self):
        failures = [hangs, resets, says(http(length=9), keep=False), says(http(body=b"x" * 200_000))]
        scripts = [script for failure in failures for script in (failure, says(http()))]
        with wire(by_number(lambda n: scripts[n]), choose=True) as server:
            found = outcomes(ManyRequests(1, 0.2, 100_000), ((n, get(server.url, n)) for n in range(8)))

        assert [found[n] for n in (1, 3, 5, 7)] == [HAPPY] * 4


class TestTheTimeLimit:
    @pytest.mark.parametrize(
        "script",
        [
            hangs,
            drips(http(body=b"x" * 100)),
            drips(HEAD + b"x" * 100, at_once=len(HEAD)),
            drips(http(length=-1, body=b"", Transfer_Encoding="chunked") + b"1\r\nx\r\n" * 100, at_once=70),
            repeats(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ],
        ids=["silence", "drip of headers", "drip of body", "drip of chunks", "endless preliminaries"],
    )
    def test_holds_for_the_whole_answer(self, script):
        with wire(script) as server:
            started = time.monotonic()
            result = one(get(server.url))
            seconds = time.monotonic() - started

        # Preliminaries without end are headers without end, and may be given up earlier.
        assert result == TIMED_OUT or (result != HAPPY and seconds < SECONDS)
        assert seconds < SECONDS + SLACK

    def test_holds_where_nobody_takes_the_connection(self):
        with deaf_port() as url:
            started = time.monotonic()
            assert one(get(url)) == TIMED_OUT

        assert time.monotonic() - started < SECONDS + SLACK

    def test_holds_for_a_tls_greeting_that_is_never_returned(self):
        with wire(hangs) as server:
            started = time.monotonic()
            assert one(get(server.url.replace("http", "https"))) == TIMED_OUT

        assert time.monotonic() - started < SECONDS + SLACK

    def test_starts_anew_for_each_request_of_a_handle(self):
        with wire(drips(http(), pause=0.003)) as server:
            found = outcomes(ManyRequests(1, 1.0), ((n, get(server.url, n)) for n in range(5)))

        assert list(found.values()) == [HAPPY] * 5


class TestSlowOnes:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("aggregator.clients.many.SLOW_SECONDS", 0.1)

    def finish(self, share: Callable[[int], bool], count: int, seconds: float) -> tuple[dict[int, float], dict]:
        """When each of the requests ended, and how; those of which share is true hang."""
        started, ended_at, results = time.monotonic(), {}, {}
        with wire(by_number(lambda n: hangs if share(n) else says(http())), choose=True) as server:
            for ended in ManyRequests(4, seconds).exchange((n, get(server.url, n)) for n in range(count)):
                if ended is not None:
                    key, results[key] = named(ended)[0], named(ended)[1]
                    ended_at[key] = time.monotonic() - started
        return ended_at, results

    def test_a_tenth_that_hangs_does_not_hold_up_the_others(self):
        ended_at, results = self.finish(lambda n: n % 10 == 0, 100, seconds=2.0)

        fast = [at for n, at in ended_at.items() if n % 10]
        assert [n for n, result in results.items() if result == TIMED_OUT] == list(range(0, 100, 10))
        assert len(fast) == 90
        assert max(fast) < 1.5  # one after the other, the ten that hang would take five seconds

    def test_so_many_that_all_hang_end_all_the_same(self):
        ended_at, results = self.finish(lambda n: True, 40, seconds=0.4)

        # 4 at once and 16 slow ones besides: two rounds where four would be ten.
        assert set(results.values()) == {TIMED_OUT}
        assert len(ended_at) == 40
        assert max(ended_at.values()) < 2.5


class TestTheSizeLimit:
    def test_is_what_an_answer_may_have_at_most(self):
        with wire(says(http(body=b"x" * 100_000))) as server:
            assert len(one(get(server.url)).body) == 100_000

    @pytest.mark.parametrize("status", [200, 302, 500])
    @pytest.mark.parametrize(
        "script",
        [
            lambda status: says(http(status, body=b"x" * 100_001)),
            lambda status: repeats(http(status, length=10**12, body=b"", Location="/"), b"x" * 65_536),
            lambda status: repeats(http(status, length=-1, body=b"", Location="/"), b"x" * 65_536),
            lambda status: repeats(
                http(status, length=-1, body=b"", Transfer_Encoding="chunked"), b"8000\r\n" + b"x" * 32_768 + b"\r\n"
            ),
        ],
        ids=["one byte more", "endless with a length", "endless without one", "endless chunks"],
    )
    def test_ends_an_answer_that_is_larger(self, script, status):
        with wire(script(status)) as server:
            assert one(get(server.url)) == TOO_LARGE

    def test_is_not_got_round_by_compression(self):
        with wire(says(http(body=BOMB, Content_Encoding="gzip"))) as server:
            assert one(get(server.url)) == Reply(200, "application/json", BOMB, None)

        assert "Accept-Encoding" not in server.heard[0].headers


class TestTheTokenGoesToOnePlaceOnly:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_no_redirect_is_followed(self, status):
        with wire(says(http())) as elsewhere, wire(says(http(status, b"", Location=elsewhere.url))) as server:
            assert one(get(server.url)) == Reply(status, "application/json", b"", None)

            assert (len(server.heard), elsewhere.connections) == (1, 0)

    def test_proxies_in_the_environment_are_ignored(self, proxies_everywhere):
        with wire(says(http())) as server:
            assert one(get(server.url)) == HAPPY

        assert server.heard[0].path == "/0"

    def test_no_cookie_is_kept(self):
        with wire(says(http(Set_Cookie="a=b; Path=/"))) as server:
            outcomes(ManyRequests(1), ((n, get(server.url, n)) for n in range(2)))

        assert [heard.headers.get("Cookie") for heard in server.heard] == [None, None]

    def test_neither_is_a_login_of_netrc(self, monkeypatch, tmp_path):
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        with wire(says(http())) as server:
            one(get(server.url))

        assert "Authorization" not in server.heard[0].headers


class TestConnections:
    def test_are_used_again(self):
        with wire(says(http())) as server:
            outcomes(ManyRequests(4), ((n, get(server.url, n)) for n in range(200)))

            assert len(server.heard) == 200
            assert server.connections <= 4

    def test_one_that_the_server_has_closed_meanwhile_is_replaced_without_a_word(self):
        def answer_once(connection: socket.socket) -> bool:
            return says(http(), keep=False)(connection)

        with wire(answer_once) as server:
            found = outcomes(ManyRequests(2), ((n, get(server.url, n)) for n in range(20)))

        assert list(found.values()) == [HAPPY] * 20

    def test_all_are_closed_in_the_end(self):
        with wire(says(http())) as server:
            outcomes(ManyRequests(4), ((n, get(server.url, n)) for n in range(20)))

            assert eventually(lambda: server.ended == server.connections > 0)

    @pytest.mark.parametrize("how", ["closed", "dropped", "broken"])
    def test_all_are_closed_when_nobody_wants_the_answers_any_more(self, how):
        with wire(hangs) as server:
            self.abandon(server, how)

            assert eventually(lambda: server.ended == 3)

    def abandon(self, server: Wire, how: str) -> None:
        exchange = ManyRequests(3, 10).exchange((n, get(server.url, n)) for n in range(3))
        while len(server.heard) < 3:
            assert next(exchange) is None
        if how == "closed":
            exchange.close()
        elif how == "broken":
            with pytest.raises(KeyboardInterrupt):
                exchange.throw(KeyboardInterrupt())

    def test_all_are_closed_when_the_requests_come_to_a_bad_end(self):
        def requests(url: str):
            yield 0, get(url)
            raise LookupError("no more")

        with wire(hangs) as server:
            with pytest.raises(LookupError):
                list(ManyRequests(3, 10).exchange(requests(server.url)))

            assert eventually(lambda: server.ended == server.connections)


class TestRetryAfter:
    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize(
        ("said", "seconds"),
        [
            ("7", 7),
            ("0", 0),
            ("300", 300),
            ("1000000000", MAX_RETRY_AFTER),
            ("9" * 30, 0),
            ("garbage", 0),
            ("-5", 0),
            ("", 0),
            ("nan", 0),
            ("Mon, 04 May 2020 12:30:45 GMT", 0),
        ],
    )
    def test_is_seconds_and_nothing_where_it_makes_no_sense(self, status, said, seconds):
        with wire(says(http(status, b"", Retry_After=said))) as server:
            reply = one(get(server.url))

        assert (retry_after_seconds(reply.retry_after, datetime.now(UTC), MAX_RETRY_AFTER) or 0) == seconds

    def test_may_be_a_date(self):
        moment = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
        with wire(says(http(429, b"", Retry_After=moment))) as server:
            reply = one(get(server.url))

        assert 50 <= retry_after_seconds(reply.retry_after, datetime.now(UTC), MAX_RETRY_AFTER) <= 60

    def test_is_nothing_where_nothing_is_said(self):
        with wire(says(http(429, b""))) as server:
            reply = one(get(server.url))

        assert not retry_after_seconds(reply.retry_after, datetime.now(UTC), MAX_RETRY_AFTER)

    def test_of_one_reply_is_not_taken_for_that_of_the_next(self):
        with wire(in_turn([says(http(429, b"", Retry_After="9")), says(http(503, b""))]), choose=True) as server:
            found = outcomes(ManyRequests(1), ((n, get(server.url, n)) for n in range(2)))

        assert [reply.retry_after for reply in found.values()] == ["9", "0"]
