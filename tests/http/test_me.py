from tests.make import PASSWORD


async def test_address_and_password_begin_a_session(client, make):
    account = await make.account(password=PASSWORD)

    answer = await client.post("/v1/auth/sign-in", json={"email": account.email.upper(), "password": PASSWORD})

    assert answer.status_code == 204, answer.text
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert (await client.get("/v1/me")).json()["email"] == account.email


async def test_me_names_the_tenants_that_one_belongs_to(client, make):
    tenant = await make.tenant()
    person = await make.person(tenant, "viewer")

    me = (await client.get("/v1/me", headers=person.headers)).json()

    assert [(each["slug"], each["roles"]) for each in me["tenants"]] == [(tenant.slug, ["viewer"])]
    assert me["operator_role"] is None
