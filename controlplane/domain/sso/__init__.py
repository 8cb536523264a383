"""Single sign-on: a tenant's people come in by their own company's identity provider.

A provider answers for its own tenant and for nothing else. A session that it vouched for opens that tenant only; what
belongs to the account itself, and every other tenant, takes a proof that was given to us.
"""
