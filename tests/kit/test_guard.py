"""Nobody can make the service call what is not theirs to call: a table of hostile addresses, and real servers."""

import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from controlplane.kit import addresses
from controlplane.kit.guard import AddressRefused, CallFailed, Guard

HOSTILE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::a9fe:a9fe",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "172.32.0.1",
    "100.128.0.1",
    "192.0.1.1",
    "2606:4700::1111",
    "2a00:1450::1",
]


def resolving(**names):
    async def resolve(host, port):
        asked.append(host)
        if host not in names:
            raise OSError("no such name")
        found = names[host]
        return found.pop(0) if found and isinstance(found[0], list) else found

    asked = []
    resolve.asked = asked
    return resolve


@asynccontextmanager
async def serving(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", *, tls=None, hold=None):
    """A server that says *answer* to whatever it is sent."""
    heard = []

    async def serve(reader, writer):
        try:
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            if hold is not None:
                await hold.wait()
            writer.write(answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        server.heard, server.port = heard, server.sockets[0].getsockname()[1]
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """For ``hooks.example.com``: the server's context, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example.com")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example.com")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + built.public_bytes(Encoding.PEM)
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(file)
    trust = ssl.create_default_context(cadata=built.public_bytes(Encoding.PEM).decode())
    return server, trust


@pytest.mark.parametrize("address", HOSTILE)
def test_what_is_set_aside_is_not_public(address):
    assert not addresses.is_public(addresses.plain(ip_address(address)))


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_internet_is_public(address):
    assert addresses.is_public(ip_address(address))


@pytest.mark.parametrize("address", HOSTILE)
async def test_a_hostile_address_is_refused_as_such_and_behind_a_name(address):
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(AddressRefused):
        Guard().check(f"https://{host}/")

    guard = Guard(resolve=resolving(**{"inside.example.com": [address]}))
    with pytest.raises(AddressRefused):
        await guard.call("GET", "https://inside.example.com/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "//hooks.example.com/",
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "https://",
        "https:///path",
        "https://user@hooks.example.com/",
        "https://user:secret@hooks.example.com/",
        "https://hooks.example.com\\@10.0.0.1/\n",
        "https://1.1.1.1:22/",
        "https://[fe80::1%25eth0]/",
        "https://hooks.example.com/" + "x" * 3_000,
    ],
)
def test_what_is_no_address_for_us_is_refused_before_anybody_is_asked(url):
    with pytest.raises(AddressRefused):
        Guard().check(url)


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f.1", "127.1", "017700000001", "localhost", "LOCALHOST.", "127.0.0.1."]
)
async def test_other_ways_of_writing_loopback_lead_nowhere(host):
    with pytest.raises((AddressRefused, CallFailed)):
        await Guard().call("GET", f"https://{host}/")


async def test_a_name_with_one_good_and_one_bad_address_is_refused():
    guard = Guard(resolve=resolving(**{"both.example.com": ["93.184.216.34", "10.0.0.1"]}))

    with pytest.raises(AddressRefused):
        await guard.call("GET", "https://both.example.com/")


async def test_another_port_is_refused_unless_the_network_was_opened():
    names = {"hooks.example.com": ["93.184.216.34"], "erp.example.com": ["10.1.2.3"]}
    opened = Guard(resolve=resolving(**names), networks=(ip_network("10.1.0.0/16"),))

    with pytest.raises(AddressRefused, match="port 8443"):
        await opened.call("GET", "https://hooks.example.com:8443/")
    with pytest.raises(CallFailed):
        await opened.call("GET", "https://erp.example.com:8443/", within_s=0.05)
    with pytest.raises(AddressRefused, match="not https"):
        Guard(networks=(ip_network("10.1.0.0/16"),)).check("http://10.1.2.3/")


async def test_a_name_is_resolved_once_so_that_it_cannot_change_its_mind(certificate):
    server_side, trust = certificate
    rebinding = resolving(**{"hooks.example.com": [["127.0.0.1"], ["169.254.169.254"]]})
    async with serving(tls=server_side) as server:
        guard = Guard(resolve=rebinding, trust=trust, loopback=True)

        answer = await guard.call("GET", f"https://hooks.example.com:{server.port}/in")

        assert (answer.status, answer.body) == (200, b"ok")
        assert rebinding.asked == ["hooks.example.com"]
        assert f"host: hooks.example.com:{server.port}".encode() in server.heard[0].lower()
        with pytest.raises(AddressRefused):
            await guard.call("GET", f"https://hooks.example.com:{server.port}/in")


async def test_the_certificate_has_to_be_the_names(certificate):
    server_side, trust = certificate
    names = {"hooks.example.com": ["127.0.0.1"], "other.example.com": ["127.0.0.1"]}
    async with serving(tls=server_side) as server:
        guard = Guard(resolve=resolving(**names), trust=trust, loopback=True)
        await guard.call("GET", f"https://hooks.example.com:{server.port}/")

        with pytest.raises(CallFailed, match="certificate") as failed:
            await guard.call("GET", f"https://other.example.com:{server.port}/")

        assert not failed.value.sent
        assert len(server.heard) == 1


async def test_plain_http_and_loopback_are_called_only_where_tests_say_so():
    async with serving() as server:
        url = f"http://127.0.0.1:{server.port}/"
        with pytest.raises(AddressRefused):
            await Guard().call("POST", url)
        with pytest.raises(AddressRefused):
            await Guard(loopback=True, resolve=resolving(x=["93.184.216.34"])).call("POST", "http://x/")
        assert server.heard == []

        answer = await Guard(loopback=True).call("POST", url, content=b"{}", headers={"X-Own": "1"})

    assert answer.status == 200
    assert b"x-own: 1" in server.heard[0].lower()


async def test_a_redirect_is_an_answer_and_is_not_followed():
    async with serving() as inside:
        away = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{inside.port}/\r\nContent-Length: 0\r\n\r\n"
        async with serving(away.encode()) as server:
            answer = await Guard(loopback=True).call("GET", f"http://127.0.0.1:{server.port}/")

    assert answer.status == 302
    assert inside.heard == []


async def test_a_large_answer_is_cut():
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 10_000_000
    async with serving(endless) as server:
        answer = await Guard(loopback=True).call("GET", f"http://127.0.0.1:{server.port}/", most_bytes=1_000)

    assert (len(answer.body), answer.cut) == (1_000, True)


async def test_a_slow_answer_is_given_up():
    never = asyncio.Event()
    async with serving(hold=never) as server:
        with pytest.raises(CallFailed) as failed:
            await Guard(loopback=True).call("GET", f"http://127.0.0.1:{server.port}/", within_s=0.1)
        never.set()

    assert (failed.value.why, failed.value.sent) == ("timeout", True)


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"])
async def test_a_broken_answer_is_none(answer):
    async with serving(answer) as server:
        with pytest.raises(CallFailed) as failed:
            await Guard(loopback=True).call("GET", f"http://127.0.0.1:{server.port}/")

    assert (failed.value.why, failed.value.sent) == ("broken", True)


async def test_where_nobody_listens_nothing_was_sent():
    async with serving() as server:
        port = server.port
    with pytest.raises(CallFailed) as failed:
        await Guard(loopback=True).call("GET", f"http://127.0.0.1:{port}/")

    assert (failed.value.why, failed.value.sent) == ("unreachable", False)


async def test_an_unknown_name_is_said_to_be_unknown():
    with pytest.raises(CallFailed) as failed:
        await Guard(resolve=resolving()).call("GET", "https://nowhere.example.com/")

    assert (failed.value.why, failed.value.sent) == ("unknown-host", False)


async def test_proxies_of_the_environment_are_not_asked(monkeypatch):
    async with serving() as proxy, serving() as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")

        await Guard(loopback=True).call("GET", f"http://127.0.0.1:{server.port}/")

    assert (len(proxy.heard), len(server.heard)) == (0, 1)


async def test_the_next_address_is_tried_where_nobody_answers_at_the_first():
    async with serving() as server:
        guard = Guard(loopback=True, resolve=resolving(two=["::1", "127.0.0.1"]))

        answer = await guard.call("GET", f"http://two:{server.port}/")

    assert answer.status == 200


async def test_a_librarys_client_goes_through_the_same_guard():
    async with serving() as server, httpx.AsyncClient(transport=Guard(loopback=True).transport) as client:
        assert (await client.get(f"http://127.0.0.1:{server.port}/")).text == "ok"
    async with httpx.AsyncClient(transport=Guard().transport) as client:
        with pytest.raises(AddressRefused):
            await client.get(f"https://127.0.0.1:{server.port}/")
