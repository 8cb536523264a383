"""The program ``runtime-agent``: one command a call, its result on stdout, refusals with a hint on stderr."""

import argparse
import asyncio
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_agent.problems import BUG, DONE, REFUSED, NoTerminal, Refusal

if TYPE_CHECKING:
    from runtime_agent.agent import Post

Command = Callable[[argparse.Namespace], int]


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 refused, 2 wrong usage, 70 bug."""
    options = _parser().parse_args(arguments)
    command: Command = options.command
    os.umask(0o077)
    try:
        return command(options)
    except Refusal as refusal:
        _refuse(options, refusal)
        return refusal.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return REFUSED
    except Exception:
        traceback.print_exc()
        return BUG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="runtime-agent",
        description="Sends what an AI-agent runtime has been doing to its control plane, and never its data.",
        epilog="Exit codes: 0 done, 1 refused, 2 wrong usage, 70 bug.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--home", type=Path, help="the agent's own folder (default: RUNTIME_AGENT_HOME)")
    shared.add_argument("--json", action="store_true", help="print one JSON document and nothing else")

    def add(name: str, command: Command, about: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, parents=[shared], help=about, description=about)
        made.set_defaults(command=command)
        return made

    joining = add("join", _join, "become a runtime of a tenant, with a join token")
    joining.add_argument("url", metavar="URL", help="of the control plane")
    joining.add_argument("--source", action="append", default=[], metavar="KIND:PATH", help="engine:PATH; what to read")
    joining.add_argument("--label", action="append", default=[], metavar="NAME=VALUE", help="of this runtime")
    joining.add_argument("--name", help="of this runtime (default: the host name)")
    token = joining.add_mutually_exclusive_group()
    token.add_argument("--token", help="visible to other accounts of this machine while the command runs")
    token.add_argument("--token-stdin", action="store_true", help="read it from the first line of stdin")

    add("run", _run, "the daemon: look, send, and go on")
    add("once", _once, "look at everything and send until nothing is left; exit 1 if something is")
    add("status", _status, "where this runtime stands")
    doctor = add("doctor", _doctor, "check everything, and print exactly what would leave for one session")
    doctor.add_argument("--session", metavar="AGENT/SESSION", help="which session to show (default: the newest)")
    add("verify", _verify, "compare both sides: prints identical, or the difference and exits 1")
    held = add("credentials", _credentials, "see what this runtime may lease, or lease it")
    held.add_argument("what", choices=["list", "get"], help="list: what there is; get: print the credential NAME")
    held.add_argument("name", nargs="?", metavar="NAME", help="of the connection, or its id")
    held.add_argument("--agent", default="", help="for which agent; policies may depend on it")
    held.add_argument("--purpose", default="", help="what for; policies may ask for it")
    held.add_argument(
        "--field", metavar="FIELD", help="print this field (default: the access token, or the only field)"
    )
    content = add("content", _content, "make a key pair for sealed checkpoints, or open one that was exported")
    content.add_argument("what", choices=["keygen", "open"], help="keygen: into the new FILE; open: the exported FILE")
    content.add_argument("file", type=Path, metavar="FILE")
    content.add_argument("--key", type=Path, metavar="FILE", help="open: the private key that keygen made")
    content.add_argument("--out", type=Path, metavar="FILE", help="open: where the checkpoint goes (default: stdout)")
    add("rotate-key", _rotate_key, "make a new key for this runtime, and be known by it from now on")
    leave = add("leave", _leave, "send what is left, say goodbye and forget the keys")
    leave.add_argument("--yes", action="store_true", help="do not ask")
    leave.add_argument("--now", action="store_true", help="even if the control plane cannot be told")
    return parser


def _join(options: argparse.Namespace) -> int:
    from runtime_agent import home as homes
    from runtime_agent import joining, settings
    from runtime_agent.clock import utc_now
    from runtime_agent.http import Http

    folder, url = _home(options), joining.server_url(options.url)
    token = _token(options)
    homes.prepare(folder)
    with homes.only_process(folder):
        identity = joining.prepared(folder, url)
        if options.source:
            settings.remember_sources(folder, _whole_sources(options.source))
        given = settings.read(folder, os.environ)
        kinds = [source.kind for source in given.opened()]
        if not kinds:
            raise Refusal("no source is named", hint="Add --source engine:PATH")
        if joining.travels_open(url):
            _say(options, f"warning: {url} is not encrypted; others on the way can read the token")
        ticket = joining.Ticket(
            token, options.name, joining.facts_of(kinds, given.source_timezone), joining.labels_of(options.label)
        )

        async def work() -> Any:
            async with Http(url, utc_now) as http:
                return await joining.join(http, folder, identity, ticket, utc_now)

        joined = asyncio.run(work())
    facts = {"id": joined.runtime, "name": joined.name, "tenant": joined.tenant, "project": joined.project}
    _answer(options, facts, f"{joined.runtime}")
    _say(options, f"joined {joined.tenant}/{joined.project} as {joined.name}; next: runtime-agent run")
    return DONE


def _run(options: argparse.Namespace) -> int:
    import logging

    from runtime_agent import daemon, home

    post = _post(options)
    logging.basicConfig(
        level=post.settings.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("httpx").setLevel("WARNING")
    logging.getLogger("watchfiles").setLevel("WARNING")
    with home.only_process(post.home):
        asyncio.run(daemon.run(post))
    _answer(options, {"stopped": True}, None)
    return DONE


def _once(options: argparse.Namespace) -> int:
    from runtime_agent import home, once, progress

    post = _post(options)
    with home.only_process(post.home):
        bar = None
        if sys.stderr.isatty() and not options.json and not (post.home / home.OUTBOX).exists():
            bar = progress.Bar(sys.stderr, sum(source.check().sessions for source in post.settings.opened()))
        try:
            done = asyncio.run(once.once(post, bar or once.Progress()))
        finally:
            if bar is not None:
                bar.close()
    line = f"looked at {done.sessions:,} sessions, sent {done.sent:,} records, {done.left:,} left"
    if done.quarantined:
        line += f"; {done.quarantined:,} refused and kept here"
    if done.chunks_left:
        line += f"; {done.chunks_left:,} chunks of checkpoint content wait"
    _answer(options, done, line)
    if done.problem:
        _say(options, f"refused: {done.problem}")
    return REFUSED if done.left or done.chunks_left or done.problem else DONE


def _status(options: argparse.Namespace) -> int:
    from runtime_agent import identity, settings, status
    from runtime_agent.clock import utc_now
    from runtime_agent.shown import status_lines

    folder = _home(options)
    found = status.gather(folder, settings.read(folder, os.environ), identity.find(folder), utc_now)
    _answer(options, found, "\n".join(status_lines(found)))
    return DONE if found.joined else REFUSED


def _doctor(options: argparse.Namespace) -> int:
    from runtime_agent import doctor, identity, settings
    from runtime_agent.clock import utc_now
    from runtime_agent.shown import doctor_lines

    folder = _home(options)
    given = settings.read(folder, os.environ)
    found = asyncio.run(doctor.examine(folder, given, identity.find(folder), utc_now, options.session))
    _answer(options, found, "\n".join(doctor_lines(found)))
    return DONE if found.healthy else REFUSED


def _verify(options: argparse.Namespace) -> int:
    from runtime_agent import verifying

    post = _post(options)
    verdict = asyncio.run(verifying.verify(post.home, post.identity))
    _answer(options, verdict, "\n".join(verifying.lines(verdict)))
    return DONE if verdict.identical else REFUSED


def _credentials(options: argparse.Namespace) -> int:
    from runtime_agent import leasing

    if (options.what == "get") != (options.name is not None):
        raise leasing.Misused("get wants the NAME of a credential, list none")
    post = _post(options)
    if options.what == "list":
        listed = asyncio.run(leasing.listing(post))
        _answer(options, listed, "\n".join(leasing.lines(listed)))
        return DONE
    got = asyncio.run(leasing.got(post, options.name, agent=options.agent, purpose=options.purpose))
    _answer(options, got, None if options.json else leasing.chosen(got, options.field))
    return DONE


def _content(options: argparse.Namespace) -> int:
    from runtime_agent.content import opening
    from runtime_agent.identity import encoded

    if options.what == "keygen":
        public = encoded(opening.keygen(options.file))
        _answer(options, {"public_key": public, "private_key_file": str(options.file)}, public)
        return DONE
    if options.key is None:
        raise opening.Misused("open wants --key FILE")
    checkpoint, document = opening.opened(options.file, options.key)
    if options.out is not None:
        opening.write_new(options.out, document)
        _answer(options, {"checkpoint": checkpoint, "file": str(options.out)}, str(options.out))
    else:
        sys.stdout.buffer.write(document)
    return DONE


def _rotate_key(options: argparse.Namespace) -> int:
    from runtime_agent import rotating

    post = _post(options)
    public_key = asyncio.run(rotating.rotated(post.home, post.identity))
    _answer(options, {"id": post.identity.runtime, "public_key": public_key}, public_key)
    return DONE


def _leave(options: argparse.Namespace) -> int:
    from runtime_agent import credential_files, home, joining, leaving, settings

    post = _post(options)
    who = f"{post.identity.runtime} of {post.identity.tenant}"
    _confirm(options, f"Leave as {who}? Its keys are deleted; the runtime's own files stay. [y/N] ")
    with home.only_process(post.home):
        left = asyncio.run(leaving.leave(post, even_unheard=options.now))
        stay = credential_files.take_all_away(post.home, post.identity.runtime, settings.key_given())
        joining.forget(post.home)
    _answer(
        options, {"id": post.identity.runtime, "left": left}, f"left {post.identity.tenant}; {left:,} records unsent"
    )
    if stay:
        _say(options, f"warning: {stay} credential files could not be removed; what they hold ends by itself")
    return DONE


def _home(options: argparse.Namespace) -> Path:
    from runtime_agent import settings

    return options.home.expanduser().absolute() if options.home else settings.default_home(os.environ)


def _post(options: argparse.Namespace) -> "Post":
    from runtime_agent import home, identity, settings
    from runtime_agent.agent import Post

    folder = _home(options)
    home.check_modes(folder)
    joined = identity.load(folder)
    given = settings.read(folder, os.environ)
    given.files()
    return Post(folder, given, joined)


def _token(options: argparse.Namespace) -> str:
    if options.token_stdin:
        token = sys.stdin.readline().strip()
    else:
        token = options.token or os.environ.get("RUNTIME_AGENT_JOIN_TOKEN", "")
    if not token:
        raise Refusal(
            "no join token is given",
            hint="Pipe it in with --token-stdin, or set RUNTIME_AGENT_JOIN_TOKEN. Made by: controlplane join-token create",
        )
    return token


def _whole_sources(given: list[str]) -> list[str]:
    """As they are written into the file: with absolute paths."""
    from runtime_agent import sources
    from runtime_agent.problems import BadSetting

    try:
        return [f"{kind}:{path}" for kind, path in (sources.parse(spec, os.environ) for spec in given)]
    except sources.UnknownSource as error:
        raise BadSetting(f"--source: {error}", hint="Expected engine:PATH") from error


def _confirm(options: argparse.Namespace, question: str) -> None:
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise NoTerminal("leaving deletes this runtime's keys", hint="Add --yes to do so without being asked.")
    if input(question).strip().lower() not in {"y", "yes"}:
        raise Refusal("nothing was changed")


def _answer(options: argparse.Namespace, document: object, text: str | None) -> None:
    if options.json:
        import msgspec

        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    elif text:
        sys.stdout.write(text + "\n")


def _say(options: argparse.Namespace, line: str) -> None:
    if not options.json:
        sys.stderr.write(line + "\n")


def _refuse(options: argparse.Namespace, refusal: Refusal) -> None:
    _answer(options, {"code": refusal.code, "detail": str(refusal), "hint": refusal.hint}, None)
    sys.stderr.write(f"refused: {refusal}\n")
    if refusal.hint:
        sys.stderr.write(f"hint: {refusal.hint}\n")
