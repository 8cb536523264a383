"""The vault: what opens a tenant's accounts elsewhere. Secrets come in; leases, and nothing else, let something out."""
