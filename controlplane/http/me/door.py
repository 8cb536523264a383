"""The door of the person at a browser: /v1/auth before, /v1/me after they have said who they are."""

from litestar import Router

from controlplane.http.me import factors, invitations, profile, sign_in, sso
from controlplane.http.me.passkeys import PasskeysController
from controlplane.http.me.sessions import BrowserSessionsController

router = Router(
    "/v1/me",
    route_handlers=[
        profile.me,
        BrowserSessionsController,
        PasskeysController,
        *(factors.change_password, factors.enroll, factors.confirm, factors.remove, factors.renew_recovery_codes),
        *(factors.reauthenticate, factors.reauthentication_options, factors.reauthenticate_with_passkey),
    ],
    tags=["me"],
)

auth_router = Router(
    "/v1/auth",
    route_handlers=[
        *(sign_in.sign_in, sign_in.second_factor, sign_in.passkey_options, sign_in.passkey, sign_in.link),
        *(sign_in.password_reset, sign_in.sign_out, invitations.show, invitations.accept),
        *sso.HANDLERS,
    ],
    tags=["me"],
)
