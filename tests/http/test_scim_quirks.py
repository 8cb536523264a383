"""Requests as Entra, Okta and OneLogin send them, byte for byte in their manner; the RFCs would have some otherwise."""

import pytest

from tests.http.directory import ENTERPRISE, REQUESTS


def request(name, **ids):
    text = (REQUESTS / f"{name}.json").read_text()
    for placeholder, identity in ids.items():
        text = text.replace(placeholder, identity)
    return text


@pytest.fixture
async def ada(directory):
    """Announced by Entra."""
    answer = await directory.call("POST", "/Users", request("entra_create_user"))
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture
async def grace(directory):
    """Announced by Okta."""
    answer = await directory.call("POST", "/Users", request("okta_create_user"))
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_entra_looks_for_somebody_who_is_not_there_yet(directory):
    answer = await directory.get('/Users?filter=userName+eq+"non-existing-id"')

    assert answer.status_code == 200
    assert (answer.json()["totalResults"], answer.json()["Resources"]) == (0, [])


async def test_entra_announces_and_finds_again(directory, ada):
    for asked in ('userName eq "ADA.lovelace@CORP.local"', 'externalId eq "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"'):
        assert await directory.found("Users", f"?filter={asked}") == [ada]
    assert await directory.found("Users", '?filter=emails[type eq "work"].value eq "ada.lovelace@corp.local"') == [ada]


async def test_entra_patches_by_filter_by_urn_and_in_capitals(directory, ada):
    answer = await directory.call("PATCH", f"/Users/{ada['id']}", request("entra_patch_user"))

    now = answer.json()
    assert answer.status_code == 200, answer.text
    assert now["displayName"] == "Augusta Ada King"
    assert now["emails"] == [{"value": "ada.king@corp.local", "type": "work", "primary": True}]
    assert {each["type"]: each["value"] for each in now["phoneNumbers"]} == {
        "mobile": "+44 20 7946 0000",
        "work": "+44 20 7946 0001",
    }
    assert now["name"]["familyName"] == "King"
    assert now[ENTERPRISE] == {
        "employeeNumber": "1815",
        "department": "Analysis",
        "manager": {"value": "usr_01kdvdna00emm911pv866cb3aq"},
    }
    assert "extensionAttribute7" not in now


async def test_entra_takes_the_manager_away(directory, ada):
    await directory.call("PATCH", f"/Users/{ada['id']}", request("entra_patch_user"))

    answer = await directory.call("PATCH", f"/Users/{ada['id']}", request("entra_remove_manager"))

    assert "manager" not in answer.json()[ENTERPRISE]


async def test_entra_replaces_without_a_path_with_paths_for_keys(directory, ada):
    answer = await directory.call("PATCH", f"/Users/{ada['id']}", request("entra_replace_without_path"))

    now = answer.json()
    assert answer.status_code == 200, answer.text
    assert (now["displayName"], now["name"]["givenName"], now["emails"][0]["value"], now[ENTERPRISE]["division"]) == (
        "Bjfe",
        "Kim",
        "kim@corp.local",
        "North",
    )


@pytest.mark.parametrize("how", ["entra_disable_user", "entra_disable_user_wrapped", "okta_deactivate_user"])
async def test_false_is_false_however_it_is_written(directory, ada, how):
    answer = await directory.call("PATCH", f"/Users/{ada['id']}", request(how))

    assert answer.status_code == 200, answer.text
    assert answer.json()["active"] is False


async def test_entra_adds_and_removes_members_by_value(directory, ada, grace):
    group = await directory.group("Engines", grace["id"])

    added = await directory.call("PATCH", f"/Groups/{group['id']}", request("entra_add_member", MEMBER=ada["id"]))
    both = await directory.members(group["id"])
    removed = await directory.call("PATCH", f"/Groups/{group['id']}", request("entra_remove_member", MEMBER=ada["id"]))

    assert (added.status_code, removed.status_code) == (204, 204)
    assert both == {ada["id"], grace["id"]}
    assert await directory.members(group["id"]) == {grace["id"]}


async def test_okta_replaces_somebody_whole(directory, grace):
    answer = await directory.call("PUT", f"/Users/{grace['id']}", request("okta_replace_user", USER=grace["id"]))

    assert answer.status_code == 200, answer.text
    assert answer.json()["name"]["middleName"] == "Brewster"
    assert "password" not in answer.text


async def test_okta_renames_a_group_with_its_id_in_the_value(directory):
    group = await directory.group("Engines")

    answer = await directory.call("PATCH", f"/Groups/{group['id']}", request("okta_rename_group", GROUP=group["id"]))

    assert answer.status_code == 204, answer.text
    assert (await directory.get(f"/Groups/{group['id']}")).json()["displayName"] == "Compilers"


async def test_okta_changes_members_in_one_go(directory, ada, grace):
    group = await directory.group("Engines", ada["id"])

    answer = await directory.call(
        "PATCH", f"/Groups/{group['id']}", request("okta_members", GONE=ada["id"], MEMBER=grace["id"])
    )

    assert answer.status_code == 204, answer.text
    assert await directory.members(group["id"]) == {grace["id"]}


async def test_onelogin_writes_names_in_another_case_and_members_in_the_value(directory, ada):
    group = await directory.group("Engines")

    answer = await directory.call("PATCH", f"/Groups/{group['id']}", request("onelogin_group", MEMBER=ada["id"]))

    assert answer.status_code == 204, answer.text
    assert await directory.members(group["id"]) == {ada["id"]}
