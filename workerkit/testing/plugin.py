"""The pytest plugin: ``pytest --pyargs workerkit.testing --worker NAME``.

pytest loads it in every project of an environment that has workerkit. So nothing is imported here before a class of
facts is collected, and everything that it adds to pytest has ``worker`` in its name.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from workerkit.testing.bench import Bench


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--worker`` and ``--worker-plugin``."""
    group = parser.getgroup("workerkit", "workerkit: conformance of worker classes")
    group.addoption(
        "--worker",
        action="append",
        default=[],
        metavar="NAME",
        help="A worker class that the facts of workerkit.testing are checked for: a name or MODULE:CLASS; repeatable.",
    )
    group.addoption(
        "--worker-plugin",
        action="append",
        default=[],
        metavar="FILE",
        help="A file that worker classes are taken from, as by `workerkit --plugin`; repeatable.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker that facts carry."""
    config.addinivalue_line(
        "markers",
        "worker_needs(*capabilities): a fact about worker classes that run these jobs, or have this attribute",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Check each fact for the class's ``worker``, or for each that ``--worker`` names."""
    if "worker_bench" in metafunc.fixturenames:
        own = getattr(metafunc.cls, "worker", None)
        names = [own] if own else metafunc.config.getoption("--worker")
        metafunc.parametrize("worker_bench", names, indirect=True, scope="class")


@pytest.fixture(scope="class")
def worker_bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Servers of the worker class under test, shared by the facts of a class."""
    from workerkit.testing.bench import Bench  # noqa: PLC0415  only who uses the kit pays for it

    files = [*request.config.getoption("--worker-plugin"), *getattr(request.cls, "plugins", ())]
    bench = Bench(request.param, files, tmp_path_factory.mktemp("bench"))
    yield bench
    bench.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]  # noqa: ARG001  the hook's signature
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Begin the report of a broken promise with the promise, and end it with what the servers said."""
    report = yield
    bench: Any = getattr(item, "funcargs", {}).get("worker_bench")
    if report.failed and bench is not None:
        from workerkit.testing.promises import broken_promise  # noqa: PLC0415  only who uses the kit pays for it

        report.longrepr = broken_promise(item, bench.worker, report.longrepr)
        report.sections += bench.logs()
    return report
