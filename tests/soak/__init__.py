"""What may be lost when a server is reloaded, upgraded, killed or starved; ``python -m tests.soak`` shows it."""
