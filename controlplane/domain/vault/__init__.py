"""The vault: what a tenant's runtimes may use at other people's services, and never get to keep."""
