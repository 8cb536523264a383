"""OAuth as a client speaks it, to servers that each speak it in their own way.

A :class:`~controlplane.kit.oauth.dialect.Server` says how; every call takes it, goes out through the guard, and comes
back with :class:`~controlplane.kit.oauth.tokens.Tokens` or raises one :class:`~controlplane.kit.oauth.failures.Failure`.
Nothing is retried and nothing remembered here: whoever holds the grant decides.
"""
