"""Addresses, listeners, streams, and the contract between worker classes and protocols."""
