"""What the facts of the conformance kit serve: applications and protocols, imported by the servers under test."""
