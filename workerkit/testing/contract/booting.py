"""Facts about the way from the fork to readiness."""

from __future__ import annotations

import json
import re

import pytest

from workerkit.testing.bench import HOST, Kit
from workerkit.testing.contract.base import Facts
from workerkit.testing.server import READY

APPS = "workerkit.testing.apps"
LIFE = r"life: (.*) (?:in|by) (\d+)"


class BootFacts(Facts):
    """Booting."""

    def test_it_boots_and_serves(self, kit: Kit) -> None:
        """A worker boots, and its requests are answered by the process that said it was ready."""
        assert int(kit.server.fetch("/").body) == kit.server.worker

    def test_it_is_ready_once(self, kit: Kit) -> None:
        """A worker says once that it is ready, with its process and its slot."""
        server = kit.launch()
        server.stop()

        assert len(server.log.find(READY)) == 1

    def test_life_goes_in_order(self, kit: Kit) -> None:
        """prepare() comes before the application is imported, boot() imports it, run() is called, and returns."""
        server = kit.launch_witnessed(app=f"{APPS}.says_when_imported:app")
        server.stop()
        steps = [match[1] for match in server.log.find(LIFE)]

        assert steps == ["prepare", "boot", "imported", "booted", "run", "returned"]

    def test_one_process_lives_all_of_it(self, kit: Kit) -> None:
        """Without --preload the whole life of a worker happens in the worker's own process."""
        server = kit.launch_witnessed(app=f"{APPS}.says_when_imported:app")

        assert {int(match[2]) for match in server.log.find(LIFE)} == {server.worker}

    def test_ready_means_loaded(self, kit: Kit) -> None:
        """A worker says that it is ready after the application has been loaded, not before."""
        server = kit.launch(app=f"{APPS}.says_when_imported:app")
        order = [bool(READY.search(line)) for line in server.log.lines if READY.search(line) or "imported" in line]

        assert order == [False, True]

    def test_preload_imports_once(self, kit: Kit) -> None:
        """With --preload, workers serve an application that one other process has imported."""
        server = kit.launch("--preload", app=f"{APPS}.says_when_imported:app", workers=2)
        told = {tuple(map(int, server.fetch("/").body.split())) for _ in range(10)}

        assert {pid for pid, _ in told} <= set(server.workers())
        assert len({importer for _, importer in told} - set(server.workers())) == 1

    def test_preload_prepares_the_mold(self, kit: Kit) -> None:
        """With --preload, prepare() is called once, by the process that imports the application, and before it."""
        server = kit.launch_witnessed("--preload", app=f"{APPS}.says_when_imported:app", workers=2)
        steps = [(match[1], int(match[2])) for match in server.log.find(LIFE)]
        mold = dict(steps)["imported"]

        assert steps[:2] == [("prepare", mold), ("imported", mold)]
        assert [step for step, _ in steps].count("prepare") == 1
        assert mold not in server.workers()

    def test_application_that_cannot_be_imported(self, kit: Kit) -> None:
        """An application that raises while it is imported ends the command with code 3, and shows where it raised."""
        (kit.folder / "cannot_be_imported.py").write_text('raise RuntimeError("cannot be imported, on purpose")\n')
        finished = kit.run(app="cannot_be_imported:app")

        assert finished.code == 3
        assert any("cannot be imported, on purpose" in line for line in finished.err)
        assert any("cannot_be_imported.py" in line for line in finished.err)

    def test_application_that_is_not_there(self, kit: Kit) -> None:
        """A module without the application that was named ends the command with code 4."""
        assert kit.run(app=f"{APPS}.pages:no_such_application").code == 4

    def test_lifespan(self, kit: Kit) -> None:
        """The lifespan is entered in the worker after it has booted, and left after run() has returned."""
        server = kit.host(f"{APPS}.with_lifespan:app", workers=1)
        worker = server.worker
        server.fetch("/")
        server.stop()
        steps = [(match[1], int(match[2])) for match in server.log.find(LIFE)]

        assert steps == [("entered", worker), ("asked", worker), ("left", worker)]

    def test_application_knows_its_slot(self, kit: Kit) -> None:
        """The application finds its worker's slot and number in WORKERKIT_SLOT and WORKERKIT_NUMBER."""
        server = kit.launch(workers=2)
        slots = {match[2] for match in server.log.find(READY)}
        told = [json.loads(server.fetch("/facts").body) for _ in range(4)]

        assert {facts["slot"] for facts in told} <= slots
        assert {facts["number"] for facts in told} <= {"0", "1"}

    def test_application_knows_whether_it_runs_in_threads(self, kit: Kit) -> None:
        """wsgi.multithread is what the class declares, wsgi.multiprocess whether there are several workers."""
        facts = json.loads(kit.server.fetch("/facts").body)

        assert facts["wsgi.multithread"] is kit.worker_class.multithread
        assert facts["wsgi.multiprocess"] is False

    def test_its_module_imports_without_its_library(self, kit: Kit) -> None:
        """The module of a worker class can be imported while the libraries that it requires are not installed."""
        if not kit.worker_class.requires:
            pytest.skip("not applicable: the class requires no library")
        code = "\n".join(
            [
                "import sys",
                *(f"sys.modules[{name!r}] = None" for name in kit.worker_class.requires),
                "from workerkit import plugins",
                "from workerkit.assembly import worker_class",
                *(f"plugins.load_file({file!r})" for file in kit.files),
                f"worker_class({kit.worker!r})",
            ]
        )
        finished = kit.run("-c", code, program=HOST[:1])

        assert finished.code == 0, finished.err

    def test_it_tells_what_it_is(self, kit: Kit) -> None:
        """A worker class has a docstring, and names the kinds of jobs that it runs."""
        known = {"call", "dialogue", "coroutine"}

        assert re.search(r"\w", kit.worker_class.__doc__ or "")
        assert kit.worker_class.jobs <= known
