"""Settings: declared once as options dataclasses, gathered from files, variables, flags and keywords."""
