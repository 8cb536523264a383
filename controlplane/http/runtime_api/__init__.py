"""/v1/runtime: agents, by a short token from their own key."""
