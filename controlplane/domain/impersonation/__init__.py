"""Operators who work as somebody of a tenant: only where the tenant lets them, for a while, for a reason, in plain sight.

The operator stays who is signed in; what changes is whose permissions count, in one tenant (RFC 8693: ``act``).
"""
