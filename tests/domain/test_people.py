from datetime import timedelta
from uuid import UUID

import pytest

from controlplane.domain import passwords, people, sign_ins
from controlplane.domain.passwords import PasswordUnfit
from controlplane.domain.people import AlreadyMember, EmailInvalid, EmailTaken
from controlplane.domain.permissions import UnknownRole
from controlplane.domain.sign_ins import LinkUsedUp
from controlplane.kit.ids import AccountId
from controlplane.kit.problems import NotFound
from controlplane.kit.secret import Secret
from tests.conftest import KEYRING
from tests.make import PASSWORD, SHELL

PEPPER = KEYRING.pepper


@pytest.mark.parametrize("email", ["", "x", "x@", "@x", "a b@c", "a@b@c", "x@" + "y" * 190])
async def test_an_address_has_two_sides(db, email):
    with pytest.raises(EmailInvalid):
        async with db.platform() as tx:
            await people.create_account(tx, SHELL, email)


async def test_an_address_belongs_to_one_account_however_it_is_written(db, make):
    account = await make.account()

    with pytest.raises(EmailTaken):
        async with db.platform() as tx:
            await people.create_account(tx, SHELL, f" {account.email.upper()} ")
    async with db.platform() as tx:
        assert await people.account_for(tx, SHELL, account.email.title()) == account


async def test_who_operates_already_stays_what_they_are_unless_told_otherwise(db, make):
    account = await make.account()

    async with db.platform() as tx:
        roles = [
            (await people.make_operator(tx, SHELL, account.id, *said)).role
            for said in ((), ("viewer",), (), ("admin",), ())
        ]

    assert roles == ["admin", "viewer", "viewer", "admin", "admin"]


async def test_one_person_is_in_a_tenant_once(db, make):
    tenant, account = await make.tenant(), await make.account()

    async with db.tenant(tenant.tenant_id) as tx:
        user = await people.add_user(tx, SHELL, account, "viewer")
    with pytest.raises(AlreadyMember):
        async with db.tenant(tenant.tenant_id) as tx:
            await people.add_user(tx, SHELL, account, "owner")

    async with db.tenant(tenant.tenant_id) as tx:
        assert await people.member(tx, account.id) == user


async def test_one_person_can_be_in_many_tenants(db, make):
    first, second, account = await make.tenant(), await make.tenant(), await make.account()

    for tenant in (first, second):
        async with db.tenant(tenant.tenant_id) as tx:
            await people.add_user(tx, SHELL, account, "viewer")

    async with db.platform() as tx:
        assert set(await people.tenants_of(tx, account.id)) == {first.tenant_id, second.tenant_id}


async def test_roles_are_checked_before_they_are_written(db, make):
    tenant, account = await make.tenant(), await make.account()

    with pytest.raises(UnknownRole):
        async with db.tenant(tenant.tenant_id) as tx:
            await people.add_user(tx, SHELL, account, "emperor")
    with pytest.raises(UnknownRole):
        async with db.platform() as tx:
            await people.make_operator(tx, SHELL, account.id, "owner")


async def test_a_session_ends_when_nobody_uses_it(db, make, clock):
    human = await make.person()

    clock.forward(sign_ins.IDLE - timedelta(seconds=1))
    async with db.platform() as tx:
        assert await sign_ins.person_by(tx, PEPPER, human.session) is not None
    clock.forward(sign_ins.IDLE - timedelta(seconds=1))
    async with db.platform() as tx:
        assert await sign_ins.person_by(tx, PEPPER, human.session) is not None
    clock.forward(sign_ins.IDLE)
    async with db.platform() as tx:
        assert await sign_ins.person_by(tx, PEPPER, human.session) is None


async def test_a_session_ends_after_twelve_hours_however_busy(db, make, clock):
    human = await make.person()

    for _ in range(25):
        clock.forward(timedelta(minutes=29))
        async with db.platform() as tx:
            person = await sign_ins.person_by(tx, PEPPER, human.session)

    assert person is None


async def test_a_new_password_ends_every_session(db, make):
    human = await make.person()

    async with db.platform() as tx:
        await people.set_password(tx, SHELL, human.account.id, await passwords.hashed(Secret(PASSWORD)))

    async with db.platform() as tx:
        assert await sign_ins.person_by(tx, PEPPER, human.session) is None


async def test_a_new_password_ends_every_link(db, make):
    account = await make.account()
    async with db.platform() as tx:
        token = await sign_ins.make_link(tx, SHELL, PEPPER, account.id)
        await people.set_password(tx, SHELL, account.id, "hash")

    with pytest.raises(LinkUsedUp):
        async with db.platform() as tx:
            await sign_ins.redeem(tx, PEPPER, token)


async def test_ended_sessions_and_links_are_forgotten(db, make, clock):
    human = await make.person()
    async with db.platform() as tx:
        await sign_ins.make_link(tx, SHELL, PEPPER, human.account.id)
        assert await sign_ins.forget_ended(tx) == 0
    clock.forward(sign_ins.LINK_LIFETIME)

    async with db.platform() as tx:
        assert await sign_ins.forget_ended(tx) == 2


async def test_a_link_works_once(db, make):
    account = await make.account()
    async with db.platform() as tx:
        token = await sign_ins.make_link(tx, SHELL, PEPPER, account.id)

    async with db.platform() as tx:
        assert await sign_ins.redeem(tx, PEPPER, token) == account.id
        await sign_ins.begin(tx, SHELL, PEPPER, account.id, "")
    with pytest.raises(LinkUsedUp):
        async with db.platform() as tx:
            await sign_ins.redeem(tx, PEPPER, token)


async def test_a_link_works_for_a_day(db, make, clock):
    account = await make.account()
    async with db.platform() as tx:
        token = await sign_ins.make_link(tx, SHELL, PEPPER, account.id)
    clock.forward(sign_ins.LINK_LIFETIME)

    with pytest.raises(LinkUsedUp):
        async with db.platform() as tx:
            await sign_ins.redeem(tx, PEPPER, token)


async def test_who_is_not_there_has_no_password_to_set(db):
    with pytest.raises(NotFound):
        async with db.platform() as tx:
            await people.set_password(tx, SHELL, AccountId(UUID(int=1)), "hash")


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaa", "ababababab", "me@example.com", "x" * 1001])
def test_some_passwords_will_not_do(password):
    with pytest.raises(PasswordUnfit):
        passwords.check_fit(Secret(password), "Me@Example.com")


@pytest.mark.parametrize("password", ["8 letter", "correct horse battery staple", "пароль из слов", "x y" * 300])
def test_any_other_password_will(password):
    passwords.check_fit(Secret(password), "me@example.com")


async def test_a_password_matches_itself_and_nothing_else():
    kept = await passwords.hashed(Secret(PASSWORD))

    assert await passwords.matches(Secret(PASSWORD), kept)
    assert not await passwords.matches(Secret(PASSWORD + " "), kept)
    assert not await passwords.matches(Secret(PASSWORD), None)
    assert "m=19456,t=2,p=1" in kept
