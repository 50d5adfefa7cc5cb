"""The child side: what a worker is (``base``), what a worker with sockets is (``server``), and the built-in classes.

Concrete classes are reached by entry point only, as a stranger's would be.
"""
