"""A web process with two threads, and clients that are slow on purpose."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.scenarios.processes import Process, eventually, free_port, process

THREADS = 2
PLAIN = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"
LARGE = 16 * 1024 * 1024


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Gunicorn with one process of two threads, and deadlines of a second or two."""
    port, folder = free_port(), tmp_path_factory.mktemp("web")
    settings = folder / "gunicorn.conf.py"
    settings.write_text("control_socket_disable = True\n")
    command = [sys.executable, "-m", "gunicorn", "--config", str(settings), "--bind", f"127.0.0.1:{port}"]
    command += ["--worker-class", "tests.serving.impatient.DeadlineWorker", "--threads", str(THREADS)]
    command += ["--worker-connections", "300", "--keep-alive", "1", "tests.serving.impatient:app"]
    with process(command, {"PATH": os.environ["PATH"]}, folder / "log") as started:
        started.url = str(port)
        eventually(lambda: _listens(port), 20)
        yield started


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def connect(web: Process, sends: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(web.url)), timeout=10)
    connection.sendall(sends)
    return connection


def heard(connection: socket.socket) -> bytes:
    """All that is sent until the server closes."""
    received = b""
    try:
        while data := connection.recv(65_536):
            received += data
    except ConnectionResetError:
        received += b" (reset)"
    return received


def status(connection: socket.socket) -> bytes:
    """The first line of the next answer."""
    with connection.makefile("rb") as answer:
        return answer.readline().rstrip()


def seconds_of_an_answer(web: Process) -> float:
    started = time.monotonic()
    with connect(web, PLAIN) as connection:
        assert status(connection) == b"HTTP/1.1 200 OK"
    return time.monotonic() - started


SLOW = {
    "idle": b"",
    "headers": b"GET / HTTP/1.1\r\nX: ",
    "bodies": b"POST / HTTP/1.1\r\nContent-Length: 50\r\n\r\n1",
    "chunks": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12",
    "not reading": b"GET /large HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("kind", SLOW)
def test_slow_clients_keep_no_thread_busy(web, kind):
    with ExitStack() as stack:
        for _ in range(10 * THREADS):
            stack.enter_context(connect(web, SLOW[kind]))

        assert seconds_of_an_answer(web) < 1.0  # well under the deadline that would free a thread


@pytest.mark.parametrize(
    ("kind", "said"),
    [("idle", b""), ("headers", b"HTTP/1.1 408 Request Timeout"), ("bodies", b"HTTP/1.1 408 Request Timeout")],
)
def test_a_slow_client_is_gone_after_its_deadline_however_it_drips(web, kind, said):
    with connect(web, SLOW[kind]) as connection:
        connection.settimeout(0.2)
        received, started = None, time.monotonic()
        while received is None and time.monotonic() - started < 8:
            try:
                received = connection.recv(65_536)
            except TimeoutError:
                if kind != "idle":
                    connection.send(b"1")
            except ConnectionResetError:
                received = b""

        assert received is not None
        assert received.partition(b"\r\n")[0] == said


def test_who_does_not_read_is_disconnected(web):
    with connect(web, SLOW["not reading"]) as connection:
        time.sleep(3.5)

        received = heard(connection)

    assert received.endswith(b" (reset)")
    assert len(received) < LARGE


def test_who_reads_slowly_but_steadily_gets_all_of_it(web):
    with connect(web, b"GET /large HTTP/1.1\r\nConnection: close\r\n\r\n") as connection:
        received = 0
        while data := connection.recv(1024 * 1024):
            received += len(data)
            time.sleep(0.05)

    assert received > LARGE


def test_a_streamed_answer_waits_for_its_reader(web):
    with connect(web, b"GET /stream HTTP/1.1\r\nConnection: close\r\n\r\n") as connection:
        time.sleep(0.5)
        head, _, body = heard(connection).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK")
    assert len(body) == LARGE


def test_large_bodies_take_half_of_the_threads_at_most(web):
    begun = b"POST / HTTP/1.1\r\nContent-Length: 10000000\r\n\r\n" + 70_000 * b"x"
    with ExitStack() as stack:
        for _ in range(5 * THREADS):
            stack.enter_context(connect(web, begun))
        time.sleep(0.3)

        assert seconds_of_an_answer(web) < 1.0


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 200_000, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_of_any_size_arrive_as_they_were_sent(web, size, chunked):
    body = os.urandom(size)
    if chunked:
        pieces = [body[at : at + 10_000] for at in range(0, size, 10_000)]
        sent = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        head = b"POST / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    else:
        sent, head = body, b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size

    with connect(web, head + sent) as connection:
        answer = heard(connection)

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.partition(b"\r\n\r\n")[2] == body


def test_a_connection_serves_one_request_after_another(web):
    second = PLAIN.replace(b"Host", b"Connection: close\r\nHost")
    with connect(web, PLAIN + PLAIN + second) as connection:
        assert heard(connection).count(b"HTTP/1.1 200 OK") == 3


def test_a_client_that_waits_is_asked_for_its_body(web):
    with connect(
        web, b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"
    ) as connection:
        assert status(connection) == b"HTTP/1.1 100 Continue"
        connection.sendall(b"12345")
        answer = heard(connection)

    assert answer.count(b"100 Continue") == 0
    assert answer.endswith(b"12345")


def test_an_answer_before_the_end_of_a_large_body_reaches_its_client(web):
    with connect(web, b"POST /refuse HTTP/1.1\r\nContent-Length: 10000000\r\n\r\n" + 300_000 * b"x") as connection:
        assert heard(connection).startswith(b"HTTP/1.1 401 Unauthorized")


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_a_large_body_that_is_refused_unread_is_not_waited_for(web, expect):
    with connect(web, b"POST /refuse HTTP/1.1\r\n" + expect + b"Content-Length: 10000000\r\n\r\n") as connection:
        assert b"HTTP/1.1 401 Unauthorized" in heard(connection)


def test_a_head_without_an_end_is_refused(web):
    with connect(web, b"GET / HTTP/1.1\r\nX: " + 70_000 * b"x") as connection:
        assert status(connection) == b"HTTP/1.1 431 Request Header Fields Too Large"


@pytest.mark.parametrize(
    "nonsense", [b"\x16\x03\x01\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
)
def test_nonsense_is_refused_at_once(web, nonsense):
    with connect(web, nonsense) as connection:
        assert status(connection) == b"HTTP/1.1 400 Bad Request"


def test_where_there_are_too_many_connections_the_oldest_that_waits_goes(web):
    with ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(connect(web))

        assert seconds_of_an_answer(web) < 1.0


def test_a_request_that_is_arriving_when_the_process_stops_is_answered(web):
    with connect(web, b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n12") as connection:
        time.sleep(0.2)
        web.signal(signal.SIGHUP)  # its processes are replaced
        time.sleep(0.3)
        connection.sendall(b"345")

        assert heard(connection).endswith(b"12345")
