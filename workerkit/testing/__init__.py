"""For tests of applications, servers and plugins."""
