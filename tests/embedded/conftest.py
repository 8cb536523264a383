"""The launcher as its users meet it: in a process of its own, under root and under an ordinary account."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest

from controlplane.embedded import account as accounts
from controlplane.embedded import programs
from controlplane.embedded.account import Account

PATIENCE_S = 30
REPOSITORY = Path(__file__).parents[2]


class Runner(NamedTuple):
    """How to run the launcher under one account."""

    account: Account | None
    python: str
    script: Path
    settings: dict[str, str]

    def start(self, home, **settings):
        return subprocess.Popen(
            [self.python, self.script, home],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env={**os.environ, **self.settings, **settings},
            user=self.account and self.account.uid,
            group=self.account and self.account.gid,
            extra_groups=self.account and [],
        )

    @contextmanager
    def holding(self, home, **settings):
        """A running server; stopped in order at the end unless the test ended its holder in some other way."""
        with self.start(home, **settings) as process:
            url = process.stdout.readline().strip()
            assert url, process.stderr.read()
            yield Held(process, home, url)
            if process.poll() is None:
                process.stdin.close()
                assert process.wait(PATIENCE_S) == 0

    def refusal(self, home, **settings):
        """What is said by a start that is refused."""
        done = self.start(home, **settings)
        _, said = done.communicate(timeout=PATIENCE_S)
        assert done.returncode == 1, said
        return said


class Held:
    """A server and those who hold it."""

    def __init__(self, process, home, url):
        self.process, self.url = process, url
        self.postmaster = int((home / "postgres/data/postmaster.pid").read_text().splitlines()[0])
        self.watcher = int(Path(f"/proc/{self.postmaster}/stat").read_text().rpartition(")")[2].split()[1])

    def kill_holder(self):
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def kill_everything(self):
        """All at once, as a power cut would: nobody gets to clean up after anybody."""
        children = Path(f"/proc/{self.postmaster}/task/{self.postmaster}/children").read_text().split()
        for pid in (self.watcher, self.process.pid, self.postmaster, *map(int, children)):
            with suppress(ProcessLookupError):  # a child may end by itself, having lost its parent
                os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)


def ask(url, statement):
    async def work():
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(work())


def ended(pid):
    """Whether there is nothing left of *pid* but, perhaps, an entry nobody waited for."""
    try:
        return not Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return True


def eventually(true):
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="session")
def ordinary():
    """An account that may look neither into root's folders nor into this repository, wherever that is."""
    found = pwd.getpwnam("nobody")
    account = Account(found.pw_name, found.pw_uid, found.pw_gid)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        package = REPOSITORY / "controlplane"
        shutil.copytree(package / "embedded", place / "controlplane/embedded")
        shutil.copy(package / "__init__.py", place / "controlplane")
        shutil.copy(Path(__file__).with_name("hold.py"), place)
        # copies keep the modes of the checkout, which its umask may have closed; an import lists the folder as well
        subprocess.run(["/bin/chmod", "-R", "a+rX", place], check=True)
        postgres = programs.reachable(programs.find_postgres(), account, place / "programs")
        settings = {"PYTHONPATH": name, "SERVICES_PG_BIN": str(postgres.home / "bin")}
        yield Runner(account, _python(account), place / "hold.py", settings)


def _python(account):
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            if accounts.run(account, [python, "-c", "import json"]).returncode == 0:
                return python
        except PermissionError:
            continue
    raise AssertionError("there is no Python that an ordinary account may run")


@pytest.fixture(scope="session")
def ourselves():
    return Runner(None, sys.executable, Path(__file__).with_name("hold.py"), {"PYTHONPATH": str(REPOSITORY)})


@pytest.fixture(scope="session", params=["ourselves", "ordinary"] if os.geteuid() == 0 else ["ourselves"])
def made(request):
    """Who runs the launcher, and a home that was used once: copying it is quicker than making one."""
    runner = request.getfixturevalue(request.param)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        home.parent.chmod(0o711)
        if runner.account:
            os.chown(home.parent, runner.account.uid, runner.account.gid)
        with runner.holding(home):
            pass
        (home / "postgres/port").unlink()
        yield runner, home


@pytest.fixture
def runner(made, home):
    runner, used = made
    if runner.account:
        os.chown(home.parent, runner.account.uid, runner.account.gid)
    subprocess.run(["/bin/cp", "-a", used, home], check=True)
    return runner
