"""Extras that use only the public API and entry points, as a stranger's package would."""
