"""What goes wrong at the start is told in at most three lines, besides the user's own frames."""

from __future__ import annotations

import importlib.util
import re
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from harness import APPS, Finished, Launcher, run_to_completion

FRAME = re.compile(r"^\s+File \"|^\s{4}|^Traceback ")
ROUTINE = re.compile(r"\[INFO\]|\[DEBUG\]")
MOST_LINES = 3


def fail(*arguments: str, folder: Path) -> Finished:
    """Run the command, which must fail, with a worker count that shows whether a fault is told twice."""
    return run_to_completion("--bind", "127.0.0.1:0", "--workers", "2", *arguments, folder=folder)


def told(finished: Finished) -> list[str]:
    """Return the lines that tell what is wrong: neither frames nor the routine of starting and stopping."""
    return [line for line in finished.err if line and not FRAME.match(line) and not ROUTINE.search(line)]


def frames(finished: Finished) -> list[str]:
    return [line for line in finished.err if re.match(r'\s+File "', line)]


def assert_for_people(finished: Finished, code: int, words: Sequence[str]) -> None:
    """Check the exit code, the words, the number of lines, and that no frame but the user's is shown."""
    everything = "\n".join(finished.err)
    package = importlib.util.find_spec("workerkit")
    assert package is not None
    assert package.submodule_search_locations is not None
    ours = [*package.submodule_search_locations, "importlib", "<frozen"]

    assert finished.code == code, everything
    assert all(word in everything for word in words), everything
    assert 1 <= len(told(finished)) <= MOST_LINES, everything
    assert not [frame for frame in frames(finished) for path in ours if path in frame], everything


def test_address_in_use(tmp_path: Path, serve: Launcher) -> None:
    """An address that is taken is named, with the pid of the process that holds it; exit code 1."""
    holder = serve("hello")
    finished = fail("--bind", f"127.0.0.1:{holder.port}", "hello", folder=tmp_path)

    assert_for_people(finished, 1, [f"127.0.0.1:{holder.port}", str(holder.pid)])


def test_address_in_use_is_told_before_the_application_is_imported(tmp_path: Path) -> None:
    """A taken address is found before any worker starts, so that a broken application is not the news."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        finished = fail("--bind", address, "fails_on_import", folder=tmp_path)

    assert_for_people(finished, 1, [address])
    assert "undefined_database" not in "\n".join(finished.err)


def test_unix_socket_in_use(tmp_path: Path, serve: Launcher) -> None:
    """A unix socket on which somebody listens is left alone and named; exit code 1."""
    path = tmp_path / "web.sock"
    holder = serve("hello", bind=f"unix:{path}")
    finished = fail("--bind", f"unix:{path}", "hello", folder=tmp_path)

    assert_for_people(finished, 1, [str(path)])
    with holder.client() as client:
        assert client.get("/").status_code == 200


def test_address_that_is_not_ours(tmp_path: Path) -> None:
    """An address that this machine does not have is named; exit code 1."""
    finished = fail("--bind", "192.0.2.1:8000", "hello", folder=tmp_path)

    assert_for_people(finished, 1, ["192.0.2.1:8000"])


def test_no_such_module(tmp_path: Path) -> None:
    """A module that does not exist is named together with the folder that was searched; exit code 3."""
    finished = fail("nosuchmodule:app", folder=tmp_path)

    assert_for_people(finished, 3, ["nosuchmodule", str(tmp_path)])
    assert frames(finished) == []


def test_mistyped_module(tmp_path: Path) -> None:
    """A module's name with a slip gets the nearest name; exit code 3."""
    (tmp_path / "storefront.py").write_text("from hello import application\n")
    finished = fail("storefornt:application", folder=tmp_path)

    assert_for_people(finished, 3, ["storefornt", "storefront"])


def test_no_such_attribute(tmp_path: Path) -> None:
    """A missing attribute is named, with the callables that the module has; exit code 4."""
    finished = fail("hello:aplication", folder=tmp_path)

    assert_for_people(finished, 4, ["hello", "aplication", "application"])
    assert frames(finished) == []


def test_module_without_application(tmp_path: Path) -> None:
    """A bare module with neither ``application`` nor ``app`` says which names were tried; exit code 4."""
    finished = fail("factory_without_call", folder=tmp_path)

    assert_for_people(finished, 4, ["factory_without_call", "application", "app", "create_app"])


def test_import_fails(tmp_path: Path) -> None:
    """An application that fails on import is shown by its own frames and the cause, once; exit code 3."""
    finished = fail("fails_on_import:app", folder=tmp_path)
    everything = "\n".join(finished.err)

    assert_for_people(finished, 3, ["NameError", "undefined_database"])
    assert [Path(frame.split('"')[1]) for frame in frames(finished)] == [APPS / "fails_on_import.py"] * 3
    assert everything.count("name 'undefined_database' is not defined") == 1


def test_import_fails_also_with_preload(tmp_path: Path) -> None:
    """With ``--preload`` the same fault is told in the same way; exit code 3."""
    finished = fail("--preload", "fails_on_import:app", folder=tmp_path)

    assert_for_people(finished, 3, ["NameError", "undefined_database"])
    assert len(frames(finished)) == 3


def test_import_of_what_is_not_installed(tmp_path: Path) -> None:
    """A package that the application misses is not mistaken for the application; exit code 3."""
    finished = fail("imports_what_is_missing:app", folder=tmp_path)

    assert_for_people(finished, 3, ["a_package_that_nobody_has", "ModuleNotFoundError"])
    assert [Path(frame.split('"')[1]) for frame in frames(finished)] == [APPS / "imports_what_is_missing.py"]


def test_syntax_error(tmp_path: Path) -> None:
    """A slip in the application's syntax is shown with its file and line; exit code 3."""
    (tmp_path / "slip.py").write_text("def app(environ, start_response)\n    return []\n")
    finished = fail("slip:app", folder=tmp_path)

    assert_for_people(finished, 3, ["slip.py", "line 1", "SyntaxError"])


def test_factory_fails(tmp_path: Path) -> None:
    """A factory that raises is shown by the user's frames; exit code 3."""
    (tmp_path / "made.py").write_text('def create_app():\n    raise RuntimeError("no database")\n')
    finished = fail("made:create_app()", folder=tmp_path)

    assert_for_people(finished, 3, ["RuntimeError", "no database"])
    assert len(frames(finished)) == 1


def test_not_callable(tmp_path: Path) -> None:
    """An application that cannot be called is named with its type; exit code 4."""
    assert_for_people(fail("not_callable:app", folder=tmp_path), 4, ["not_callable:app", "dict", "callable"])


def test_asynchronous_function(tmp_path: Path) -> None:
    """A coroutine function on a WSGI worker is named as what it is; exit code 4."""
    assert_for_people(fail("speaks_asgi:app", folder=tmp_path), 4, ["speaks_asgi:app", "ASGI"])


def test_asynchronous_framework(tmp_path: Path) -> None:
    """So is an object whose call is a coroutine, as frameworks have it; exit code 4."""
    assert_for_people(fail("speaks_asgi:framework", folder=tmp_path), 4, ["speaks_asgi:framework", "ASGI"])


def test_factory_that_is_not_called(tmp_path: Path) -> None:
    """A factory given as the application is noticed at boot, with the spelling that calls it; exit code 4."""
    finished = fail("factory_without_call:create_app", folder=tmp_path)

    assert_for_people(finished, 4, ["factory_without_call:create_app()"])


def test_arguments_that_are_not_literals(tmp_path: Path) -> None:
    """A factory's arguments are parsed, never evaluated: a call in them is refused."""
    finished = fail('hello:greet(__import__("os").getcwd())', folder=tmp_path)

    assert finished.code in (1, 2, 4)
    assert_for_people(finished, finished.code, ["literal"])


def test_unknown_worker_class(tmp_path: Path) -> None:
    """An unknown worker class gets the nearest name and the installed ones; exit code 1."""
    assert_for_people(fail("-k", "synk", "hello", folder=tmp_path), 1, ["synk", "sync"])


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [("--worker-clas=sync", "--worker-class"), ("--bnid=:0", "--bind"), ("--prelaod", "--preload")],
)
def test_mistyped_flag(tmp_path: Path, mistyped: str, meant: str) -> None:
    """A mistyped flag gets the nearest one; flags cannot be abbreviated; exit code 2."""
    assert_for_people(fail(mistyped, "hello", folder=tmp_path), 2, [mistyped.partition("=")[0], meant])


def test_value_of_the_wrong_kind(tmp_path: Path) -> None:
    """A value that a flag cannot take is named together with the flag; exit code 2."""
    assert_for_people(fail("--timeout", "soon", "hello", folder=tmp_path), 2, ["--timeout", "soon"])


def test_no_application(tmp_path: Path) -> None:
    """Without an application the command says what to give it; exit code 2."""
    assert_for_people(run_to_completion(folder=tmp_path), 2, ["MODULE:"])


def test_unknown_key_in_a_file(tmp_path: Path) -> None:
    """An unknown key in a TOML file is named with the file and the nearest key; exit code 1."""
    (tmp_path / "site.toml").write_text("wrokers = 2\n")
    assert_for_people(fail("-c", "site.toml", "hello", folder=tmp_path), 1, ["site.toml", "wrokers", "workers"])


def test_configuration_file_that_is_missing(tmp_path: Path) -> None:
    """A configuration file that does not exist is named; exit code 1."""
    assert_for_people(fail("-c", "nowhere.py", "hello", folder=tmp_path), 1, ["nowhere.py"])


def test_configuration_file_that_fails(tmp_path: Path) -> None:
    """A Python configuration file that raises is shown by its own frame and the cause; exit code 1."""
    (tmp_path / "site.conf.py").write_text("workers = 2\nbind = undefined_address\n")
    finished = fail("-c", "site.conf.py", "hello", folder=tmp_path)

    assert_for_people(finished, 1, ["site.conf.py", "line 2", "undefined_address"])


def test_variable_of_the_wrong_kind(tmp_path: Path) -> None:
    """A platform variable with a senseless value is named with that value; exit code 1."""
    finished = run_to_completion("-b", "127.0.0.1:0", "hello", folder=tmp_path, variables={"WEB_CONCURRENCY": "many"})

    assert_for_people(finished, 1, ["WEB_CONCURRENCY", "many"])
