"""A proxy in front of the server that ends TLS, and everything that it could read there."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Tap:
    def __init__(self, target: int) -> None:
        """
        Args:
            target: Port on this machine that is listened on without TLS.
        """
        self.read = bytearray()
        """Every byte of either direction, as it was between the two ends of TLS."""
        self.url = ""
        self._target = target

    async def serve(self, context: ssl.SSLContext) -> asyncio.Server:
        server = await asyncio.start_server(self._join, "127.0.0.1", 0, ssl=context)
        self.url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        return server

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inward, outward = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(self._pass_on(reader, outward), self._pass_on(inward, writer))

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError, ssl.SSLError):
            while chunk := await source.read(65_536):
                self.read += chunk
                sink.write(chunk)
                await sink.drain()
        sink.close()


@contextmanager
def tapped(port: int, folder: Path) -> Iterator[tuple[Tap, Path]]:
    """A proxy in front of *port*, and the certificate by which it is believed."""
    certificate, key = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    tap = Tap(port)
    ready, ended = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def listen() -> None:
        async with await tap.serve(context):
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(listen(),), name="tap", daemon=True)
    thread.start()
    ready.wait()
    try:
        yield tap, certificate
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    paths = folder / "tap.pem", folder / "tap.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(private)
    return paths
