"""slowhttptest against a server of each worker class, while other clients ask: ``python -m tests.slow``."""
