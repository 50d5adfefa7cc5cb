"""WSGI: the application, its environ and its start_response."""
