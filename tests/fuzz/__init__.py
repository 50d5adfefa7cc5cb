"""Streams that nobody wrote, for the parser: grammar, then mutations, always the same for the same seed.

``python -m tests.fuzz --streams N --seed S`` checks many; ``test_fuzz`` a few, and lets hypothesis look for more.
"""
