"""Connecting an account elsewhere: browsers that are sent to a provider, and come back to /oauth/callback/{app}."""
