"""Secrets are taken out of what comes back, however they are written and wherever they are cut."""

import base64

import pytest

from controlplane.kit.echoes import Echoes

SECRET = 'tok/en+"é'


async def through(secrets, *chunks):
    async def coming():
        for chunk in chunks:
            yield chunk

    return [chunk async for chunk in Echoes(secrets).out_of(coming())]


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        'tok/en+\\"\\u00e9',
        'tok\\/en+\\"\\u00e9',
        "tok%2Fen%2B%22%C3%A9",
        "tok/en+&quot;é",
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
    ],
)
async def test_it_is_found_in_every_form_and_at_every_cut(form):
    raw = f"<{form}>".encode()
    hidden = b"<" + b"*" * (len(raw) - 2) + b">"

    for cut in range(len(raw) + 1):
        assert b"".join(await through([SECRET], raw[:cut], raw[cut:])) == hidden
    assert b"".join(await through([SECRET], *(bytes([each]) for each in raw))) == hidden


async def test_what_is_not_the_beginning_of_one_goes_on_at_once():
    assert await through(["secret"], b"data: 1\n\n", b"se", b"ction", b"sec") == [b"data: 1\n\n", b"section", b"sec"]


async def test_what_is_too_short_to_be_a_secret_is_left_alone():
    assert await through(["a"], b"banana") == [b"banana"]
