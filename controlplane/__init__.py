"""The control plane: what runs in one place for many tenants."""
