"""The control socket: how a running server is asked how it is, and told what to do."""
