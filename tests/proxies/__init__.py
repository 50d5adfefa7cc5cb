"""Requests through nginx, haproxy and Apache: what a proxy passes on is what the application is asked, and no more.

``payloads`` are bytes on which two parsers could disagree; ``fronts`` are the proxies, run from the recipes that the
documentation hands out; ``trial`` sends the one through the other, and compares the proxy's log with what the
application saw. ``python -m tests.proxies`` prints the table of proxies by worker classes.
"""
