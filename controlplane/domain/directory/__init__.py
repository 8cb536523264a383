"""What a tenant's directory (Entra, Okta) says of its people and groups by SCIM 2.0 (RFC 7643, RFC 7644), and what follows.

A directory keeps people and groups; what they may do is ours: it comes from the roles that the tenant gave them.
"""
