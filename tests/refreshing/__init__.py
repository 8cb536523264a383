"""The proof of refreshing: real processes against a real server that ends a grant when a token is sent twice."""
