"""/v1/auth and /v1/me: signing in and out, who one is, and what proves it."""
