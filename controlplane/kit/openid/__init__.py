"""OpenID Connect as a client speaks it: what a provider says of itself, and the tokens that it signs."""
