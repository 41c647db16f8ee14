"""Readers of settings that say where something is: URLs, hosts, folders. Each asks the code that will use it."""

import re
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import requests
from redis import Redis
from redis.connection import parse_url
from redis.exceptions import RedisError
from sentry_sdk.utils import Dsn

from aggregator.clients.image_store import NO_BOTO, NOT_A_STORE, is_outside
from aggregator.clients.mail import MailServer, sender
from aggregator.config.readers import Unusable, writable_folder

NO_MAIL_SERVER = "Not a mail server, such as smtp://user:password@host:587."
NO_ADDRESS = "Not an address, such as shop@example.com."
NO_SERVICE = "Not the URL of a service, such as https://offers.example.com, without a query."
NO_REDIS = "Not a Redis URL, such as redis://host:6379/0."
NO_ORIGIN = "Not origins, such as https://shop.example.com."
NO_HOST = "Not the name or the address of a host."
DEFAULT_PORTS = {"http": 80, "https": 443}
# As Compose has them, with underscores, too.
LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
NAME = re.compile(rf"(?=.{{1,253}}$){LABEL}(?:\.{LABEL})*\.?")


def is_host(name: str) -> bool:
    """Whether this is an IP address, or a name that a host can have; not whether there is one."""
    if re.fullmatch(r"[0-9.]+", name):
        return _is_ip(name, IPv4Address)
    return bool(NAME.fullmatch(name)) or (":" in name and _is_ip(name, IPv6Address))


def host(value: str) -> str:
    """The name or the address of a host."""
    if not is_host(value):
        raise Unusable(NO_HOST)
    return value


def service_url(value: str) -> str:
    """The URL of a service that we call."""
    parts = _parts(value, NO_SERVICE)
    try:
        requests.models.PreparedRequest().prepare_url(value, None)
    except (requests.RequestException, ValueError):
        raise Unusable(NO_SERVICE) from None
    name = parts.hostname or ""
    if parts.scheme not in DEFAULT_PORTS or parts.query or parts.fragment or "?" in value or "#" in value:
        raise Unusable(NO_SERVICE)
    if not is_host(name if name.isascii() else name.encode("idna").decode()):
        raise Unusable(NO_SERVICE)
    return value


def origin(value: str) -> str:
    """An origin as browsers name it: in small letters, and without the port that goes without saying."""
    parts = _parts(value.lower(), NO_ORIGIN)
    name, port = parts.hostname or "", parts.port
    written = f"{parts.scheme}://{name}{'' if port is None else f':{port}'}"
    if parts.scheme not in DEFAULT_PORTS or not NAME.fullmatch(name) or written != value.lower():
        raise Unusable(NO_ORIGIN)
    return written if port != DEFAULT_PORTS[parts.scheme] else written.rpartition(":")[0]


def redis_url(value: str) -> str:
    """Where Redis is. A connection is made as it will be used, and not opened: that knows each of the parameters."""
    try:
        where = parse_url(value)  # type: ignore[no-untyped-call]
        Redis.from_url(value).connection_pool.make_connection()
        path, port = urlsplit(value).path, where.get("port", 6379)
    except (ValueError, TypeError, RedisError, AttributeError):
        raise Unusable(NO_REDIS) from None
    is_socket = value.startswith("unix://")
    if not where or not 0 < port < 65536 or not (is_socket or re.fullmatch("/?[0-9]{0,9}", path)):
        raise Unusable(NO_REDIS)
    if not is_socket and not is_host(where.get("host", "")):
        raise Unusable(NO_REDIS)
    return value


def mail_url(value: str) -> str:
    """The server that takes our mails."""
    parts = _parts(value, NO_MAIL_SERVER)
    try:
        server = MailServer.at(value)
    except ValueError:
        raise Unusable(NO_MAIL_SERVER) from None
    if parts.path not in ("", "/") or parts.query or parts.fragment or not is_host(server.host):
        raise Unusable(NO_MAIL_SERVER)
    if server.password and not server.user:
        raise Unusable("There is a password in it, and no user.")
    if not f"{server.user or ''}{server.password or ''}".isascii():
        raise Unusable("SMTP takes only ASCII characters in the user and the password.")
    return value


def mail_address(value: str) -> str:
    """The address that mails come from."""
    try:
        sender(value)
    except ValueError:
        raise Unusable(NO_ADDRESS) from None
    return value


def image_store(value: str) -> str:
    """Where images are kept: in the database, in a folder, or in a bucket of S3."""
    try:
        outside = is_outside(value)
    except ValueError:
        raise Unusable(NOT_A_STORE) from None
    if outside and value.startswith("s3://"):
        if find_spec("boto3") is None:
            raise Unusable(NO_BOTO)
    elif outside:
        writable_folder(Path(value))
    return value


def sentry_dsn(value: str) -> str:
    """Where errors are reported to."""
    try:
        Dsn(value)
    except ValueError:
        raise Unusable("Not a DSN of Sentry, such as https://key@sentry.example.com/1.") from None
    return value


def _parts(value: str, otherwise: str) -> SplitResult:
    """The parts of a URL that has no blanks in it and a port that there can be. Unusable, in words, otherwise."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise Unusable(otherwise) from None
    if not value.isprintable() or " " in value or port == 0:
        raise Unusable(otherwise)
    return parts


def _is_ip(text: str, kind: type[IPv4Address] | type[IPv6Address]) -> bool:
    try:
        kind(text.partition("%")[0])
    except ValueError:
        return False
    return True
