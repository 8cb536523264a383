"""One module a page: what it asks the database, and how the answer is laid out."""
