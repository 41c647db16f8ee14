"""Mails handed in by SMTP, in bounded time.

smtplib bounds each read, so a server that drips bytes could keep the worker busy for ever; see bounded.Limit.
"""

import contextlib
import re
import smtplib
import socket
import ssl
from types import TracebackType
from typing import BinaryIO, Self

from aggregator.clients.bounded import Limit, connected, is_loopback
from aggregator.clients.mail import Mail, MailDelayed, MailError, MailRefused, MailServer, MailServerDown, message
from aggregator.clients.mail import sender as sender_of
from aggregator.clients.wire import CUT_OFF, TIMED_OUT, UNREACHABLE

MAIL_SECONDS = 30.0  # for a mail in all, with all it takes to get connected
READ_SECONDS = 10.0
CONNECT_SECONDS = 5.0  # for each of the server's addresses
GOODBYE_SECONDS = 2.0
MAX_REPLY_BYTES = 65_536
# Not signed in, no such mechanism, wrong credentials, not encrypted, out of step: it is not about the mail.
OURS = {503, 530, 534, 535, 538}
ENHANCED = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}(?=\s|$)")


class _Reply:
    """What the server says, up to a limit: a reply may have any number of lines.

    A line that breaks off is none: smtplib would take the beginning of a number for an answer.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.left = MAX_REPLY_BYTES

    def readline(self, size: int) -> bytes:
        line = self._file.readline(size)
        self.left -= len(line)
        if self.left < 0:
            raise OSError("the reply is too long")
        return line if line.endswith(b"\n") else b""

    def close(self) -> None:
        self._file.close()


class _Client(smtplib.SMTP):
    """smtplib's client on a connection that Limit can end."""

    def __init__(self, server: MailServer, limit: Limit, name: str, context: ssl.SSLContext) -> None:
        self._server, self._limit, self._context = server, limit, context
        # Its own name must be given: smtplib would ask the resolver for it, who knows no limit.
        super().__init__(server.host, server.port, local_hostname=name, timeout=READ_SECONDS)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = connected(host, port, CONNECT_SECONDS, self._limit)
        try:
            sock.settimeout(timeout)
            return self._context.wrap_socket(sock, server_hostname=host) if self._server.tls else sock
        except OSError:
            sock.close()
            raise

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Reply(self.sock.makefile("rb"))
        if self.file is not None:
            self.file.left = MAX_REPLY_BYTES
        return super().getreply()

    def become_known(self) -> None:
        """Greet, encrypt where that can be done, and sign in where there is a name to do it with."""
        self.ehlo_or_helo_if_needed()
        encrypted = self._server.tls
        if not encrypted and self.has_extn("starttls"):
            self.starttls(context=self._context)
            self.ehlo_or_helo_if_needed()
            encrypted = True
        if self._server.user is None:
            return
        if not (encrypted or self._stays_here()):
            raise MailServerDown("the server offers no encryption, and the password is not sent without")
        self.login(self._server.user, self._server.password or "")

    def _stays_here(self) -> bool:
        assert self.sock is not None
        return is_loopback(str(self.sock.getpeername()[0]))


class MailConnection:
    """A connection to a mail server: made for the first mail, kept for the next ones, made again where it drops."""

    def __init__(
        self,
        server: MailServer,
        sender: str,
        seconds: float = MAIL_SECONDS,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._server, self._seconds = server, seconds
        self._sender = sender_of(sender)
        self._context = context or ssl.create_default_context()
        self._limit = Limit()
        self._client: _Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._client is not None:
            with self._limit.within(GOODBYE_SECONDS), contextlib.suppress(OSError):
                self._client.quit()
        self._drop()

    def hurry(self, seconds: float) -> None:
        """Let what is under way take no longer than so many seconds more. May be called from another thread."""
        self._limit.hurry(seconds)

    def send(self, mail: Mail) -> None:
        """Hand a mail in. MailError, and which one, where it is not taken."""
        made = message(mail, self._sender)
        to, content = made["To"].addresses[0].addr_spec, made.as_bytes()
        with self._limit.within(self._seconds):
            try:
                self._hand_in(to, content)
            except MailError as error:
                self._after(error)
                raise
            except Exception as error:  # whatever a server may say, it shall not end the batch in another way
                reason = self._explained(error)
                self._drop()
                raise reason from error

    def _hand_in(self, to: str, content: bytes) -> None:
        if self._client is None or not self._goes_on(self._client):
            self._drop()
            self._client = _Client(self._server, self._limit, self._sender.domain, self._context)
            self._client.become_known()
            _check(*self._client.mail(self._sender.addr_spec), step="the sender", ours=True)
        client = self._client
        _check(*client.rcpt(to), step="the address")
        assert client.sock is not None
        client.sock.settimeout(self._limit.left)  # it may want to look at the mail before it answers
        _check(*client.data(content), step="the mail")
        client.sock.settimeout(READ_SECONDS)

    def _goes_on(self, client: _Client) -> bool:
        """Whether the server takes another mail on a connection that has been idle, or has had its share."""
        try:
            return not self._limit.over and 200 <= client.mail(self._sender.addr_spec)[0] < 300
        except OSError:
            return False

    def _after(self, error: MailError) -> None:
        """Forget the mail that was not taken, so that the connection can take the next one."""
        try:
            if isinstance(error, MailServerDown) or self._client is None or self._client.rset()[0] != 250:
                self._drop()
        except OSError:
            self._drop()

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        self._limit.forget()

    def _explained(self, error: Exception) -> MailError:
        if self._limit.over or isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
            return MailServerDown(TIMED_OUT)
        if isinstance(error, smtplib.SMTPResponseException):
            return _judged(error.smtp_code, error.smtp_error, _step(error), ours=not _about_mail(error))
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return MailServerDown("the server knows no way to sign in that we know")
        if isinstance(error, UnicodeEncodeError) and self._limit.connected:  # before, it is the name of the host
            return MailServerDown("the name or the password has characters that cannot be sent")
        if isinstance(error, ssl.SSLCertVerificationError):
            return MailServerDown("the server's certificate does not hold")
        return MailServerDown(CUT_OFF if self._limit.connected else UNREACHABLE)


def _check(code: int, reply: bytes, step: str, ours: bool = False) -> None:
    if not 200 <= code < 300:
        raise _judged(code, reply, step, ours)


def _judged(code: int, reply: bytes | str, step: str, ours: bool = False) -> MailError:
    """What an answer means: to whom it applies, and for how long. The server's own words may name the address."""
    words = reply.encode(errors="replace") if isinstance(reply, str) else reply
    enhanced = ENHANCED.match(words)
    reason = f"the server answered {code}{f' {enhanced[0].decode()}' if enhanced else ''} to {step}"
    if ours or code in OURS or code == 421 or not 400 <= code < 600:
        return MailServerDown(reason, code)
    return MailDelayed(reason, code) if code < 500 else MailRefused(reason, code)


def _about_mail(error: smtplib.SMTPResponseException) -> bool:
    return isinstance(error, smtplib.SMTPDataError)


def _step(error: smtplib.SMTPResponseException) -> str:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "the password"
    return "the mail" if _about_mail(error) else "the greeting"
