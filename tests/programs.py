"""The real programs, started as somebody at a shell would start them."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
from click.testing import CliRunner

from controlplane.cli import main

PATIENCE_S = 60.0

ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("CONTROLPLANE_", "RUNTIME_AGENT_"))
}


def run(module, *words, stdin="", **environ):
    """A program of ours to its end; what is given in *environ* comes on top of a bare environment."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, words)],
        input=stdin,
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, **environ},
        timeout=PATIENCE_S,
    )


def controlplane(home, *words, **more):
    return run("controlplane", *words, "--home", home, **more)


def said(home, *words, **more):
    """What a command of ``controlplane`` prints; it must succeed."""
    done = controlplane(home, *words, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\n")


def here(*words, stdin="", **environ):
    """``controlplane`` as :func:`run` runs it, but in this process: another one takes seconds to load everything anew.

    For tests of what a command says and does. What only a process has (signals, a server, how long it lives), and
    of each group of commands at least one, is tested by the program as it is started.
    """
    bare = dict.fromkeys((name for name in os.environ if name not in ENVIRONMENT), None)
    words = ["controlplane", *map(str, words)]
    before, around, status = sys.argv, dict(os.environ), 0
    with CliRunner().isolation(input=stdin, env={**bare, **environ}) as (output, errors, _):
        sys.argv = words
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
        finally:
            sys.argv = before
        sys.stdout.flush()
        done = subprocess.CompletedProcess(words, status, output.getvalue().decode(), errors.getvalue().decode())
    for name in os.environ.keys() - around.keys():  # what a command has set for those that it starts
        del os.environ[name]
    return done


def command(home, *words, **more):
    return here(*words, "--home", home, **more)


def told(home, *words, **more):
    """What :func:`command` prints; it must succeed."""
    done = command(home, *words, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\n")


def agent(home, *words, **more):
    return run("runtime_agent", *words, "--home", home, **more)


@contextmanager
def empty_home():
    """A home that is still to be made, and not below pytest's folder: as root, PostgreSQL's account must get there."""
    with tempfile.TemporaryDirectory(prefix="home-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder).resolve() / "home"


class Up:
    """A running ``controlplane up``."""

    def __init__(self, home, port, *words):
        self.home, self.port = Path(home), port
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "controlplane", "up", "--json", "--home", home, "--port", str(port), *words]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, start_new_session=True
        )
        self.report = json.loads(self._document() or "null")
        if self.report is None:
            raise AssertionError(f"did not start: {self._process.communicate()[1]}")

    def end(self, with_signal=signal.SIGTERM):
        """Its exit status after *with_signal*, and whether all that it started is gone."""
        pids = self.processes()
        self._process.send_signal(with_signal)
        self.logged = self._process.communicate(timeout=PATIENCE_S)[1]
        assert eventually(lambda: not any(alive(pid) for pid in pids)), "something was left behind"
        return self._process.returncode

    def processes(self):
        """The ids of all that it started, by command line: the home is in everyone's, or the port."""
        return [pid for pid, words in commands() if str(self.home) in words or f"--port {self.port} " in words]

    def pids_of(self, part):
        """Those of its processes whose command line has *part*, without the small ones that watch them."""
        mine = self.processes()
        return [pid for pid, words in commands() if pid in mine and part in words and "watch.py" not in words]

    def pid_of(self, part):
        """The oldest of them."""
        return min(self.pids_of(part))

    def get(self, path, **more):
        return httpx.get(f"{self.url}{path}", timeout=PATIENCE_S, **more)

    def is_ready(self):
        try:
            return self.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def _document(self):
        """Standard output up to the end of the one document."""
        lines = []
        for line in self._process.stdout:
            lines.append(line)
            if line == "}\n":
                break
        return "".join(lines)


@contextmanager
def up(home, *words, port=None):
    """One that is ended whatever happens."""
    running = Up(home, port or free_port(), *words)
    try:
        yield running
    finally:
        if alive(running._process.pid):
            running.end()
        running._process.wait()
        running._process.stdout.close()
        running._process.stderr.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def commands():
    """Process id and command line of everything that runs here."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            yield int(folder.name), (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue


def alive(pid):
    """Whether it runs; one that has ended and that nobody asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(holds):
    """Whether *holds* becomes true before patience ends."""
    end = time.monotonic() + PATIENCE_S
    while not (answer := holds()) and time.monotonic() < end:
        time.sleep(0.02)
    return answer
