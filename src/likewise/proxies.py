"""Who asked, when proxies stand between: the address of the client, as far as those we trust can tell.

A proxy adds the address that it was asked from to the right end of `X-Forwarded-For`; what stands left of that, its
client may have made up. So the header counts only when a trusted proxy brings it, and is read from the right up to the
first address that is no trusted proxy's. The other headers of this kind do not count: no answer holds a host or a
scheme, and `Forwarded` (RFC 7239) is passed on unchanged by proxies that do not know it, for anybody to forge.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from likewise.asgi import Scope

UNIX = "unix"
"""Whoever connects to the Unix socket; in `X-Forwarded-For` nobody is called so."""
PROXIES_MAX = 100
_HOPS_MAX = 20
_HEADER = b"x-forwarded-for"

IpAddress: TypeAlias = IPv4Address | IPv6Address
IpNetwork: TypeAlias = IPv4Network | IPv6Network


class Proxies:
    """The proxies whose word counts: addresses and networks, joined by commas, and `unix` for the Unix socket."""

    def __init__(self, trusted: str = "") -> None:
        """Raise `ValueError`, saying what is expected."""
        names = [name.strip() for name in trusted.split(",") if name.strip()]
        if len(names) > PROXIES_MAX:
            raise ValueError(f"at most {PROXIES_MAX} addresses and networks")
        self._trusts_unix = UNIX in names
        self._networks = [_network(name) for name in names if name != UNIX]

    def client(self, scope: Scope) -> str:
        """Return the address of whoever asked, `unix` for a process on this machine whose client is not known.

        Never fails, whatever was sent. Costs some microseconds, so ask when it is needed.
        """
        peer = _address(str((scope.get("client") or ("",))[0]))
        if not self._trusts(peer):
            return str(peer or UNIX)
        client = peer
        for address in _forwarded_for(scope["headers"]):
            if address is None:
                break
            client = address
            if not self._trusts(address):
                break
        return str(client or UNIX)

    def _trusts(self, address: IpAddress | None) -> bool:
        if address is None:
            return self._trusts_unix
        return any(address in network for network in self._networks)


def _network(name: str) -> IpNetwork:
    try:
        network = ip_network(name)
    except ValueError as error:
        raise ValueError(f"IP addresses, networks like 10.0.0.0/8, or {UNIX}, joined by commas") from error
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    # Peers are told apart by their IPv4 address, so that is what they are compared with.
    return IPv4Network((mapped, max(network.prefixlen - 96, 0))) if mapped and network.prefixlen >= 96 else network


def _forwarded_for(headers: Sequence[tuple[bytes, bytes]]) -> list[IpAddress | None]:
    """Return the addresses of all `X-Forwarded-For` headers from the right; what is none as None."""
    joined = b",".join(value for name, value in headers if name == _HEADER)
    pieces = joined.decode("latin-1").rsplit(",", _HOPS_MAX)[-_HOPS_MAX:] if joined else []
    return [_address(piece.strip(" \t")) for piece in reversed(pieces)]


def _address(text: str) -> IpAddress | None:
    """Read an IP address, with a port or without: `192.0.2.1:80`, `[2001:db8::1]:80`."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    if "%" in text:
        return None  # what follows is the name of an interface, and could be anything
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A socket for both families calls IPv4 clients so.
    return getattr(address, "ipv4_mapped", None) or address
