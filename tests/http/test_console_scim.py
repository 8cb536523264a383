"""The console's page about the tenant's directory, used without JavaScript."""

import re

from controlplane.domain import scim_tokens
from tests.http.directory import USER, Directory
from tests.make import bearer


def secret_on(page):
    [secret] = set(re.findall(r"ec_sc_\w{36}", page))
    return secret


async def test_a_stranger_is_told_how_to_connect(owner):
    page = await owner.text("/scim")

    assert "No directory is connected" in page
    assert "http://test/scim/v2" in page
    assert "Entra" in page
    assert "Okta" in page


async def test_a_token_is_made_shown_once_and_works(client, owner):
    answer = await owner.post("/scim", name="Entra", days="30")

    assert answer.status_code == 200, answer.text
    assert (await Directory(client, bearer(secret_on(answer.text))).get("/Users")).status_code == 200
    assert not re.search(r"ec_sc_\w{36}", await owner.text("/scim"))


async def test_it_is_rotated_and_revoked(client, owner):
    first = secret_on((await owner.post("/scim", name="Entra")).text)
    [token] = re.findall(r"/scim/(scm_\w+)/rotate", await owner.text("/scim"))

    second = secret_on((await owner.post(f"/scim/{token}/rotate")).text)
    third = await owner.post(f"/scim/{token}/rotate")
    await owner.post(f"/scim/{token}/revoke")

    assert scim_tokens.TwoTokensWork.title in third.text
    found = [(await Directory(client, bearer(each)).get("/Users")).status_code for each in (first, second)]
    assert found == [401, 200]


async def test_what_came_and_what_was_refused_is_shown(client, owner):
    directory = Directory(client, bearer(secret_on((await owner.post("/scim", name="<Entra>")).text)))
    await directory.user()
    await directory.call("POST", "/Users", {"schemas": [USER], "userName": "ada@example.com"})

    page = await owner.text("/scim")

    assert "1 person kept by" in page
    assert "&lt;Entra&gt;" in page
    assert "409 uniqueness" in page


async def test_an_admin_sees_it_but_makes_no_token(browsing):
    admin, viewer = await browsing("admin"), await browsing("viewer")

    assert "Make a token" in await admin.text("/scim")  # as a step for the owner, not as a button
    assert 'action="/console' not in re.search(r'id="tokens-h".*?</section>', await admin.text("/scim"), re.DOTALL)[0]
    assert (await admin.post("/scim", name="x")).status_code == 403
    assert (await viewer.get("/scim")).status_code == 403


async def test_a_name_that_is_none_comes_back_with_the_reason(owner):
    answer = await owner.post("/scim", name="  ")

    assert scim_tokens.ScimTokenUnfit.title in answer.text
