"""The authorization server that is not ours: npm's oidc-provider, started as a program."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MODULES = Path(__file__).parents[1] / ".venv/node/node_modules"
SERVER = Path(__file__).parent / "provider/authorization.mjs"


@contextmanager
def authorization(port: int, secret: str, redirect_uri: str, **more: str) -> Iterator[str]:
    """Its issuer. Its clients ``basic``, ``post`` and ``none`` are called as they prove who they are.

    Args:
        more: Settings of its own, which its first lines explain.
    """
    node = shutil.which("node")
    if node is None or not (MODULES / "oidc-provider").exists():
        pytest.fail("node or npm's oidc-provider is missing: make conformance installs the latter with npm")
    given = {"MODULES": str(MODULES), "PORT": str(port), "CLIENT_SECRET": secret, "REDIRECT_URI": redirect_uri}
    environment = {**os.environ, **given, **more}
    process = subprocess.Popen([node, str(SERVER)], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=10)
