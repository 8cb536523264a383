"""Tables and transactions. SQLAlchemy stops here."""
