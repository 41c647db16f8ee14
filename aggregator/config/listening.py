"""Whether the web can listen where HOST and PORT say."""

import errno
import socket

from aggregator.errors import UsageError

WORDS = {
    errno.EADDRNOTAVAIL: "HOST: it is no address of this machine.",
    errno.EACCES: "PORT: this user may not listen there; below 1024 only root may.",
}


def check_listening(host: str, port: int) -> None:
    """UsageError where nobody can listen there. Where somebody does already, gunicorn waits and says so."""
    try:
        ((family, kind, _, _, address), *_) = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        raise UsageError("The settings are not right:\n  HOST: no such host is known.") from None
    except OSError as error:
        if error.errno in WORDS:
            raise UsageError(f"The settings are not right:\n  {WORDS[error.errno]}") from None
