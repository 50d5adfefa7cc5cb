"""What is said on a connection: implementations of ``workerkit.net.protocol``."""
