"""What is the gevent worker's own."""

from __future__ import annotations

import pytest
from harness import Launcher, run_to_completion


@pytest.mark.parametrize("name", ["gevent_wsgi", "gevent_pywsgi"])
def test_gunicorns_other_names_are_known(serve: Launcher, name: str) -> None:
    """The spellings that gunicorn knows mean the same worker."""
    server = serve("cooperates:app", "-k", name)

    assert server.get("/patched").text.startswith("gevent")


def test_greenlets_of_the_application_run(serve: Launcher) -> None:
    """What the application spawns while it is imported, preloaded or not, runs in the worker."""
    for preload in ([], ["--preload"]):
        server = serve("spawns_greenlet:app", "-k", "gevent", *preload)

        assert server.get("/").text == "a greenlet ran in this process"


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_a_missing_library_is_one_line(tmp_path_factory: pytest.TempPathFactory, library: str) -> None:
    """Without the library, the command says what to install."""
    folder = tmp_path_factory.mktemp("without")
    (folder / f"{library}.py").write_text(f"raise ModuleNotFoundError('there is none', name={library!r})")

    finished = run_to_completion("hello:app", "-k", library, "-b", "127.0.0.1:0", folder=folder, path=[folder])

    assert finished.code == 1
    assert any(f'the {library} worker needs {library}: pip install "workerkit[{library}]"' in line
               for line in finished.err)  # fmt: skip
    assert not any("Traceback" in line for line in finished.err)


def test_the_module_imports_without_the_library() -> None:
    """Listing worker classes and their options imports neither library."""
    import subprocess
    import sys

    code = "import sys, workerkit.workers.gevent, workerkit.workers.eventlet; " \
           "sys.exit(bool({'gevent', 'eventlet', 'greenlet', 'ssl', 'asyncio'} & sys.modules.keys()))"  # fmt: skip
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
