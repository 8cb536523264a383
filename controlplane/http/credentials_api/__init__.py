"""/v1/credentials: the protocol of the existing client, for runtimes that cannot sign."""
