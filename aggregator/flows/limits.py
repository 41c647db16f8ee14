"""How often something may be tried: counted in Redis where there is one, and in the database otherwise."""

import re
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address

import structlog

from aggregator.clients.counters import CounterDown, RedisCounter
from aggregator.database import in_transaction
from aggregator.errors import TooMany
from aggregator.outages import Outage
from aggregator.services import limits

_with_port = re.compile(r"(?P<v4>[\d.]+):\d{1,5}|\[(?P<v6>[^\]]+)\](:\d{1,5})?").fullmatch  # as some proxies say it
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Limit:
    """So many tries in so many seconds."""

    name: str
    tries: int
    seconds: float


class Limits:
    """Counts tries. Where Redis does not answer, the database counts: no limit falls with it."""

    def __init__(self, redis: RedisCounter | None = None) -> None:
        self._redis = redis
        self.outage = Outage("redis")

    def hit(self, limit: Limit, who: str) -> None:
        """Count a try. TooMany, with the seconds to wait, where that is one too many."""
        tries, left = self._count(_key(limit, who), limit.seconds)
        if tries > limit.tries:
            log.warning("limit reached", limit=limit.name, tries=tries)
            raise TooMany(retry_after=left)

    def forget(self, limit: Limit, who: str) -> None:
        """Begin to count anew."""
        key = _key(limit, who)
        if self._redis:
            try:
                self._redis.forget(key)
            except CounterDown as error:
                self.outage.begins(error.reason)
        in_transaction(lambda: limits.forget(key))

    def _count(self, key: str, seconds: float) -> tuple[int, float]:
        if self._redis:
            try:
                counted = self._redis.hit(key, seconds)
                self.outage.ends()
                return counted
            except CounterDown as error:
                self.outage.begins(error.reason)
        return in_transaction(lambda: limits.hit(key, seconds))


def network(address: str | None) -> str:
    """Where a request comes from, as limits see it: of IPv6 the /64, for every customer has one."""
    with_port = _with_port(address or "")
    try:
        ip = ip_address(with_port["v4"] or with_port["v6"] if with_port else address or "")
    except ValueError:
        return "unknown"
    if not isinstance(ip, IPv6Address):
        return str(ip)
    return str(ip.ipv4_mapped) if ip.ipv4_mapped else f"{IPv6Address(int(ip) >> 64 << 64)}/64"


def _key(limit: Limit, who: str) -> str:
    # What somebody types as a name may be long, or a password in the wrong field.
    return f"{limit.name}:{blake2b(who.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
