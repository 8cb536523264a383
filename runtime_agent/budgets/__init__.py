"""Budgets at the runtime: what is leased is kept here, what is used is counted here, and the end of it is enforced here."""
