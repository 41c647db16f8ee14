"""Mail servers for the tests: a real one, with TLS and accounts where wanted, and one that plays a script."""

import asyncio
import contextlib
import email
import email.policy
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult

PATIENCE = 20.0  # seconds after which a script gives up on a client that never does
USER, PASSWORD = "shop@example.com", "a:Lantern@Sea/%"


@dataclass
class Arrived:
    """A mail as the server took it."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    content: bytes
    encrypted: bool
    user: str | None

    @property
    def id(self) -> str:
        """The Message-ID without its brackets and its domain."""
        return str(self.message["Message-ID"]).strip("<>").partition("@")[0]


@dataclass
class Inbox:
    """What a real mail server does and has taken. Answers to a recipient or to a mail may be set."""

    to_recipient: dict[str, str] = field(default_factory=dict)
    to_mail: Callable[[Arrived], str] = lambda arrived: "250 taken"
    to_sender: str = ""
    pause: float = 0.0  # before a mail is taken
    arrived: list[Arrived] = field(default_factory=list)
    connections: list[Any] = field(default_factory=list)
    port: int = 0

    def url(self, scheme: str = "smtp", credentials: str = "", host: str = "localhost") -> str:
        return f"{scheme}://{credentials}{host}:{self.port}"

    def hang_up(self) -> None:
        """Close all connections, as a server does with those that are idle."""
        for connection in self.connections:
            connection.loop.call_soon_threadsafe(connection.transport.close)

    async def handle_MAIL(self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if not self.to_sender:
            envelope.mail_from = address
        return self.to_sender or "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        answer = self.to_recipient.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        await asyncio.sleep(self.pause)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        encrypted = session.ssl is not None or server.transport.get_extra_info("ssl_object") is not None
        user = session.auth_data.login.decode() if session.auth_data else None
        recipients = list(envelope.rcpt_tos)
        arrived = Arrived(envelope.mail_from, recipients, message, envelope.content, encrypted, user)
        answer = self.to_mail(arrived)
        if answer.startswith("250"):
            self.arrived.append(arrived)
        return answer


def _authenticate(_: Any, __: Any, ___: Any, ____: str, given: Any) -> AuthResult:
    known = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=known, handled=False, auth_data=given)


@contextlib.contextmanager
def mail_server(
    certificate: ssl.SSLContext | None = None, tls: bool = False, accounts: bool = False, port: int = 0, **options: Any
) -> Iterator[Inbox]:
    """A server on this machine. With a certificate it offers STARTTLS, or with tls it is TLS from the first byte."""
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # it tells all that is said
    inbox, loop = Inbox(), asyncio.new_event_loop()
    if accounts:
        # It knows of STARTTLS only: for TLS from the first byte, it must be told not to care.
        options |= {"authenticator": _authenticate, "auth_require_tls": bool(certificate) and not tls}
    starttls = {"tls_context": certificate} if certificate and not tls else {}

    class Counted(SMTP):
        def connection_made(self, transport: Any) -> None:
            if self not in inbox.connections:  # STARTTLS makes a connection a second time
                inbox.connections.append(self)
            super().connection_made(transport)

    def session() -> SMTP:
        session = Counted(inbox, loop=loop, hostname="mail.test", **starttls, **options)
        session._auth_required = accounts  # said like this, it does not warn of what is on purpose
        return session

    opening = loop.create_server(session, "localhost", port, family=socket.AF_INET, ssl=certificate if tls else None)
    server = loop.run_until_complete(opening)
    inbox.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield inbox
    finally:
        asyncio.run_coroutine_threadsafe(_close(server, inbox), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


async def _close(server: asyncio.Server, inbox: Inbox) -> None:
    server.close()
    for connection in inbox.connections:
        if connection.transport is not None:
            connection.transport.abort()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0)


def authority() -> trustme.CA:
    """Who signs the certificates of these servers."""
    return trustme.CA()


def certificate_for(ca: trustme.CA, *names: str) -> ssl.SSLContext:
    """What a server of those names needs for TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert(*names).configure_cert(context)
    return context


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    """What a client needs that trusts those certificates."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@dataclass
class Rude:
    """What a server of a script has heard."""

    port: int
    lines: list[str] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    connections: int = 0


@contextlib.contextmanager
def rude_server(script: Callable[[socket.socket, Rude], None]) -> Iterator[Rude]:
    """A server that plays script to each connection, and then closes it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    rude = Rude(listener.getsockname()[1])
    open_ones: set[socket.socket] = set()
    threads: list[threading.Thread] = []

    def play(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(PATIENCE)
            script(connection, rude)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                rude.connections += 1
                open_ones.add(connection)
                threads.append(threading.Thread(target=play, args=(connection,), daemon=True))
                threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield rude
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(PATIENCE)
        for connection in open_ones:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(PATIENCE)


def says(*answers: str | bytes) -> Callable[[socket.socket, Rude], None]:
    """Says one thing at once, and one for each line that it hears; a mail is one line. Then it goes.

    What is bytes is said as it is, and nothing is waited for after it.
    """

    def script(connection: socket.socket, rude: Rude) -> None:
        with connection.makefile("rb") as heard:
            for number, answer in enumerate(answers):
                if number and not _hear(heard, rude, answers[number - 1]):
                    return
                connection.sendall(answer if isinstance(answer, bytes) else f"{answer}\r\n".encode())
            if isinstance(answers[-1], str):
                _hear(heard, rude, answers[-1])

    return script


def _hear(heard: Any, rude: Rude, said: str | bytes) -> bool:
    line = heard.readline()
    rude.lines.append(line.decode(errors="replace").rstrip())
    if said == "354 go on":
        mail = b""
        while line not in (b".\r\n", b""):
            mail += line
            line = heard.readline()
        rude.mails.append(email.message_from_bytes(mail, policy=email.policy.default))
    return bool(line)


def drips(*answers: str | bytes, piece: bytes = b"2", pause: float = 0.02) -> Callable[[socket.socket, Rude], None]:
    """Says those answers, and from then on a piece at a time, for as long as anybody listens."""

    def script(connection: socket.socket, rude: Rude) -> None:
        says(*answers, b"")(connection, rude)
        while True:
            connection.sendall(piece)
            threading.Event().wait(pause)

    return script


def hangs(*answers: str | bytes) -> Callable[[socket.socket, Rude], None]:
    """Says those answers, and then nothing more until the client goes."""

    def script(connection: socket.socket, rude: Rude) -> None:
        says(*answers, b"")(connection, rude)
        while connection.recv(65_536):
            pass

    return script
