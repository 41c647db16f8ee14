"""Which addresses webhooks may be sent to: those of the public internet, and none of the house's own network."""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import idna

NOT_A_URL = "Must be a URL such as https://shop.example.com/hook, without user, password and fragment."
NOT_HTTPS = "Must begin with https://."
NOT_PUBLIC = "Must name a host in the public internet."
PORTS = {"http": 80, "https": 443}
# What Python calls global, and some of it only before this or that version, but leads elsewhere all the same; the last
# one leads every machine at Azure to the host that it runs on.
DETOURS_V4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
# Of IPv6 only this is given out to hosts. NAT64, mapped and compatible addresses lie outside of it ...
UNICAST_V6 = IPv6Network("2000::/3")
# ... and Teredo, 6to4 and documentation within.
DETOURS_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
# Names that mean something else in each network, or nothing in any.
INSIDE = (
    *("localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home", "lan"),
    *("svc", "test", "onion", "arpa"),
)
_parts = re.compile(
    r"(?P<scheme>[a-z]+)://"
    r"(?:\[(?P<v6>[0-9a-f:.]{2,45})\]|(?P<name>[^\x00-\x20\x7f\\/?#@:\[\]%]{1,255}))"
    r"(?::(?P<port>[0-9]{0,5}))?"
    r"(?P<rest>(?:[/?][a-z0-9._~!$&'()*+,;=:@%/?-]*)?)",
    re.IGNORECASE | re.ASCII,
).fullmatch
_is_name = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?").fullmatch
_is_number = re.compile(r"[0-9]+|0x[0-9a-f]*").fullmatch


@dataclass(frozen=True)
class AddressRules:
    """Where webhooks may be sent: over HTTPS to a public address, at one of these ports.

    Test hosts are let in over plain HTTP, too, at any port, wherever they are.
    """

    ports: tuple[int, ...] = (443,)
    test_hosts: tuple[str, ...] = ()

    def checked(self, url: str) -> str:
        """The URL in the one spelling that everybody reads alike. ValueError says why it will not do."""
        parts = _parts(url)
        if parts is None:
            raise ValueError(NOT_A_URL)
        scheme = parts["scheme"].lower()
        host = _host(parts["v6"], parts["name"])
        port = int(parts["port"] or PORTS.get(scheme, 0))
        if not (host.strip("[]") in self.test_hosts and scheme in PORTS and 0 < port < 65536):
            self._check(scheme, host, port)
        rest = parts["rest"] if parts["rest"].startswith("/") else f"/{parts['rest']}"
        return f"{scheme}://{host}{'' if port == PORTS[scheme] else f':{port}'}{rest}"

    def _check(self, scheme: str, host: str, port: int) -> None:
        if scheme != "https":
            raise ValueError(NOT_HTTPS)
        if port not in self.ports:
            raise ValueError(f"The port must be {' or '.join(map(str, self.ports))}.")
        if not _may_be_public(host):
            raise ValueError(NOT_PUBLIC)

    def may_connect(self, url: str, address: str) -> bool:
        """Whether what is to be sent to url may be sent to this IP address, which its name has turned out to have."""
        return is_public(address) or _host_of(url) in self.test_hosts


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet's, and no way around to another."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv4Address):
        return ip.is_global and not ip.is_multicast and not any(ip in network for network in DETOURS_V4)
    return ip in UNICAST_V6 and ip.is_global and not any(ip in network for network in DETOURS_V6)


def _host(v6: str | None, name: str) -> str:
    try:
        if v6:
            return f"[{IPv6Address(v6).compressed}]"
        # As browsers read it: full-width digits are digits, and the dots of all scripts are dots.
        host = idna.encode(name, uts46=True).decode("ascii").removesuffix(".")
    except ValueError:
        raise ValueError(NOT_A_URL) from None
    if len(host) > 253 or not _is_name(host):
        raise ValueError(NOT_A_URL)
    return host


def _may_be_public(host: str) -> bool:
    """Whether a host is a public address, or a name that might have one."""
    if host.startswith("["):
        return is_public(host.strip("[]"))
    if _is_number(host.rpartition(".")[2]):
        return is_public(host)  # which takes no short form, and neither octal nor hexadecimal numbers
    return "." in host and not any(host.endswith(f".{inside}") for inside in INSIDE)


@lru_cache(maxsize=256)
def _host_of(url: str) -> str:
    parts = _parts(url)
    try:
        return _host(parts["v6"], parts["name"]).strip("[]") if parts else ""
    except ValueError:
        return ""
