"""Other people's services as they really talk: small servers on loopback, each in a dialect of its own."""
