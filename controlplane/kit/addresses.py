"""Which addresses are the public internet: everything that is not set aside for something nearer or stranger."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]

UNICAST: Final = IPv6Network("2000::/3")
"""The part of IPv6 that was ever given out (RFC 4291); loopback, link-local, unique local, NAT64 and mapped addresses
are all outside it."""

SET_ASIDE: Final[Networks] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this host (RFC 1122)
            "10.0.0.0/8",  # private (RFC 1918)
            "100.64.0.0/10",  # carrier-grade NAT (RFC 6598); a cloud's metadata at 100.100.100.200
            "127.0.0.0/8",  # loopback (RFC 1122)
            "168.63.129.16/32",  # a cloud's wire server: public by its number, answered by the host
            "169.254.0.0/16",  # link-local (RFC 3927); metadata of most clouds at 169.254.169.254
            "172.16.0.0/12",  # private (RFC 1918)
            "192.0.0.0/24",  # protocol assignments (RFC 6890); a cloud's metadata at 192.0.0.192
            "192.0.2.0/24",  # documentation (RFC 5737)
            "192.88.99.0/24",  # 6to4 relays (RFC 7526)
            "192.168.0.0/16",  # private (RFC 1918)
            "198.18.0.0/15",  # benchmarks (RFC 2544)
            "198.51.100.0/24",  # documentation (RFC 5737)
            "203.0.113.0/24",  # documentation (RFC 5737)
            "224.0.0.0/4",  # multicast (RFC 5771)
            "240.0.0.0/4",  # reserved (RFC 1112), broadcast included
            "2001::/23",  # protocol assignments (RFC 2928): Teredo, ORCHID
            "2001:db8::/32",  # documentation (RFC 3849)
            "2002::/16",  # 6to4 (RFC 3056): any IPv4 address, wrapped
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)


def is_public(address: Address) -> bool:
    """Whether *address* is somebody's on the internet, as opposed to this machine's, this network's or nobody's."""
    if isinstance(address, IPv6Address) and address not in UNICAST:
        return False
    return not within(address, SET_ASIDE)


def within(address: Address, networks: Networks) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def plain(address: Address) -> Address:
    """*address*, taken out of the IPv6 form that means the same IPv4 one (RFC 4291, section 2.5.5.2)."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
