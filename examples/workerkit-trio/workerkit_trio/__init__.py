"""The trio worker class for workerkit."""

from workerkit_trio.worker import TrioWorker

__all__ = ["TrioWorker"]
