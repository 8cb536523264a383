"""The door of a tenant's directory: SCIM 2.0 (RFC 7644) at /scim/v2, by a token of its own."""
