"""Which ranges of a log must be called lost, reckoned from what the server was told and what it answered."""

import msgspec

from runtime_agent.wire.heartbeat import Heartbeat, Pulse
from runtime_agent.wire.sync import Ack, Hello, Welcome

DIED, RESTORED, SAID = "died", "restored", "said"
"""What is heard besides calls: the server, or its talk with the database, came to an end; a heartbeat has left."""


def must_be_named(heard):
    """Epoch, first and last number of each.

    A runtime's last word is remembered by the server that heard it. Where a server died, or a call of it did, neither that
    nor how far it had come is known until it says so; after a restore nothing of before counts.

    Args:
        heard: As :attr:`network.Network.heard` has it.
    """
    named = set()
    word = cursor = None
    for path, body, answer in heard:
        match path:
            case "died":
                word = cursor = None
            case "restored":
                named, word, cursor = set(), None, None
            case "/heartbeat":
                told, pulse = _read(body, Heartbeat), _read(answer, Pulse)
                word, cursor = (told.epoch, told.last_seq), (pulse.epoch, pulse.acked)
            case "/sync/log":
                cursor = cursor and (cursor[0], max(cursor[1], _read(answer, Ack).acked))
            case "/sync/hello":
                told, welcome = _read(body, Hello), _read(answer, Welcome)
                if welcome.mode == "new_epoch" and word and cursor and word[0] == cursor[0]:
                    kept = max(cursor[1], told.last_seq) if told.epoch == cursor[0] else cursor[1]
                    named |= {(cursor[0], kept + 1, word[1])} if word[1] > kept else set()
                cursor = (welcome.epoch, welcome.from_seq - 1)
    return named


def astray(rows, stored, heard, ledger):
    """In words, the ranges that are called lost and are not, and those that are and are not called so."""
    named = must_be_named(heard)
    told = [_read(body, Heartbeat) for path, body, _ in heard if path == SAID]
    said = {(each.epoch, each.last_seq) for each in told}
    wrong = [f"lost, and nobody says so: {each}" for each in named - {_place(row) for row in rows}]
    for row in rows:
        place = f"{_place(row)}, called {row['kind']}"
        if row["kind"] != "lost" or not ledger.disk_went_back:
            wrong.append(f"{place}: nothing was lost")
        elif (row["epoch"], row["last_seq"]) not in said:
            wrong.append(f"{place}: the agent never said that it had so much")
        elif any(one.epoch == row["epoch"] and one.last >= row["first_seq"] for one in stored):
            wrong.append(f"{place}: some of it is stored")
    return wrong


def _place(row):
    return row["epoch"], row["first_seq"], row["last_seq"]


def _read(body, into):
    return msgspec.json.decode(body, type=into)
