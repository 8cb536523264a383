"""Processes by fork from one that has loaded everything already: a program starts in milliseconds, and is killed for real.

A nursery runs beside whoever wants the processes, has no threads, and ends when that one does.
"""

import ctypes
import json
import os
import signal
import socket
import sys
from contextlib import suppress

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
MESSAGE_BYTES = 1 << 16


class Nursery:
    """The side of whoever wants processes."""

    def __init__(self, programs):
        """
        Args:
            programs: By name, what a child does with its arguments and its end of a socket; it ends with what that returns.
        """
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        self.pid = os.fork()
        if not self.pid:
            self._ours.close()
            end_with(parent)
            _bear(theirs, programs)
        theirs.close()

    def begin(self, program, *arguments, log):
        """A new process, in a group of its own: its id, and our end of the socket that it talks through.

        Args:
            log: File that its output goes to.
        """
        ours, theirs = socket.socketpair()
        with log.open("ab") as output:
            message = json.dumps([program, [str(each) for each in arguments]]).encode()
            socket.send_fds(self._ours, [message], [theirs.fileno(), output.fileno()])
        theirs.close()
        return int(self._ours.recv(MESSAGE_BYTES)), ours

    def close(self):
        self._ours.close()
        os.waitpid(self.pid, 0)


def end_with(parent):
    """From now on: when *parent*, which started this process, is gone, so is this one."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _bear(wanted, programs):
    """Until nobody wants anything any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what children leave behind is counted here as well
    nursery = os.getpid()
    while True:
        message, handles, _, _ = socket.recv_fds(wanted, MESSAGE_BYTES, 2)
        _bury()
        if not message:
            os._exit(0)
        child = os.fork()
        if child:
            wanted.send(str(child).encode())
            for handle in handles:
                os.close(handle)
            continue
        wanted.close()
        end_with(nursery)
        _become(programs, *json.loads(message), *handles)


def _bury():
    """Children that have ended; the time that they took counts as the nursery's."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become(programs, program, arguments, talk, output):
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    status = 70
    try:
        status = programs[program](socket.socket(fileno=talk), *arguments)
    except SystemExit as end:
        status = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(status if isinstance(status, int) else 0)
