"""The facts that every worker class must hold, by what they are about.

Each fact is a test whose docstring is the promise. Most are about any class that accepts connections; those that are
about fewer say so with ``worker_needs`` and are skipped for the others.
"""

from __future__ import annotations

from workerkit.testing.contract.answers import AnswerFacts
from workerkit.testing.contract.bodies import BodyFacts
from workerkit.testing.contract.booting import BootFacts
from workerkit.testing.contract.clients import ClientFacts
from workerkit.testing.contract.conversation import ConversationFacts
from workerkit.testing.contract.deadlines import DeadlineFacts
from workerkit.testing.contract.health import HealthFacts
from workerkit.testing.contract.leaving import LeavingFacts
from workerkit.testing.contract.listening import ListeningFacts
from workerkit.testing.contract.logs import LogFacts
from workerkit.testing.contract.protocols import ProtocolFacts
from workerkit.testing.contract.resources import ResourceFacts
from workerkit.testing.contract.signals import SignalFacts
from workerkit.testing.contract.statistics import StatisticsFacts
from workerkit.testing.contract.tls import TlsFacts


# pytest collects the facts of the last base first.
class WorkerContract(
    LeavingFacts,
    SignalFacts,
    HealthFacts,
    ResourceFacts,
    TlsFacts,
    ProtocolFacts,
    LogFacts,
    ListeningFacts,
    StatisticsFacts,
    DeadlineFacts,
    ClientFacts,
    AnswerFacts,
    BodyFacts,
    ConversationFacts,
    BootFacts,
):
    """Subclass it in a test module, set ``worker``, and pytest checks every fact for that worker class.

    ``worker`` is an entry point's name, ``dist#name`` or ``module:Class``; ``plugins`` are files that it may be
    defined in, as for ``workerkit --plugin``. Without ``worker``, the facts are checked for each ``--worker NAME``.
    """
