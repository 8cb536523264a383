"""What a directory is told that asked for something that cannot be."""

from typing import Final

from pydantic import ValidationError
from scim2_models import Error, SCIMException

from controlplane.kit.problems import Refusal

INVALID: Final = "invalidValue"
LONGEST_DETAIL: Final = 300


class DirectoryInvalid(Refusal):
    """The request has not the shape that it must have; ``scim_type`` says in the words of RFC 7644 section 3.12 how."""

    code, status, title = "directory-invalid", 400, "The request is not well formed SCIM"
    hint = "See /scim/v2/Schemas, and the detail."

    def __init__(self, detail: str, scim_type: str = INVALID) -> None:
        super().__init__(detail)
        self.scim_type = scim_type


class DirectoryTaken(Refusal):
    """Somebody or some group is called that already in this tenant."""

    code, status, title = "directory-taken", 409, "Somebody or something in this tenant is called that already"
    hint = "userName, the address and a group's displayName are unique in a tenant, in any case."
    scim_type = "uniqueness"


class DirectoryChanged(Refusal):
    code, status, title = "directory-changed", 412, "It has changed since you saw it"
    hint = "Get it again, and send the change with its new version in If-Match."


class DirectoryUnsupported(Refusal):
    code, status, title = "directory-unsupported", 501, "This part of SCIM is not served here"
    hint = "See /scim/v2/ServiceProviderConfig for what is."


def invalid(error: ValidationError | SCIMException) -> DirectoryInvalid:
    """*error* of the models as a refusal, without what was sent."""
    cause = error.__cause__ if isinstance(error, SCIMException) else error
    if isinstance(cause, ValidationError):
        said = Error.from_validation_errors(cause)[0]
    else:
        assert isinstance(error, SCIMException)
        said = error.to_error()
    return DirectoryInvalid((said.detail or "")[:LONGEST_DETAIL], said.scim_type or INVALID)
