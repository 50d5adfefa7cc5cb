"""Applications loaded, and what is said about those that cannot be."""

from __future__ import annotations

import sys

import pytest

from workerkit.errors import BootError, ConfigError
from workerkit.wsgi.loader import load_application

APP = "def app(environ, start_response):\n    return []\n"


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Return a function that writes the module ``shop`` into the current, importable directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(text, name="shop.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def failure(reference, factory=False):
    """Return the error with which loading is refused."""
    with pytest.raises(BootError) as caught:
        load_application(reference, factory)
    assert str(caught.value).count("\n") < 3
    return caught.value


def frame_lines(error):
    return [line.partition(", line ")[2] for line in error.frames.splitlines() if line.startswith("  File")]


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        (APP, "shop:app"),
        (APP, "shop"),
        (APP + "application = app\napp = None\n", "shop"),
        (APP + "class site:\n    inner = app\n", "shop:site.inner"),
        (APP + "def make(a=1, *, b=2):\n    assert (a, b) == (5, 6)\n    return app\n", "shop:make(5, b=6)"),
        ("class app:\n    def __init__(self, environ, start_response): ...\n", "shop:app"),
        ("class App:\n    def __call__(self, environ, start_response): ...\napp = App()\n", "shop:app"),
        ("def app(*args): ...\n", "shop:app"),
        ("def app(environ, start_response, more=None): ...\n", "shop:app"),
        ("import functools\n" + APP + "app = functools.partial(app)\n", "shop:app"),
        ("app = dict\n", "shop:app"),
        (
            "import functools\ndef one(x): ...\n@functools.wraps(one)\ndef app(environ, start_response): ...\n",
            "shop:app",
        ),
        ("def app(environ: NotThere, start_response): ...\n", "shop:app"),
    ],
)
def test_an_application_is_loaded(shop, text, reference):
    """Each way to name one, and each kind of callable that takes environ and start_response."""
    shop("from __future__ import annotations\n" + text)

    assert callable(load_application(reference))


def test_a_factory_is_called_when_asked(shop):
    """--factory calls what the reference names, without arguments."""
    shop(APP + "def create_app():\n    return app\n")

    assert load_application("shop:create_app", factory=True).__name__ == "app"
    assert load_application("shop:create_app()", factory=True).__name__ == "app"


def test_a_reference_that_cannot_be_read_is_a_config_error(shop):
    """What is no reference at all is not looked for."""
    with pytest.raises(ConfigError):
        load_application("shop:app +")


@pytest.mark.parametrize(
    ("reference", "first_line"),
    [
        ("shp:app", "there is no module 'shp'; did you mean 'shop'?"),
        ("shop.py", "there is no module 'shop.py'; did you mean 'shop'?"),
        ("pkg.inn:app", "there is no module 'pkg.inn'; did you mean 'pkg.inner'?"),
        ("zzz.inner:app", "there is no module 'zzz'"),
    ],
)
def test_a_module_that_is_not_there(shop, tmp_path, reference, first_line):
    """What was looked for, where, the nearest module there, and what to do; exit code 3."""
    shop(APP)
    shop("", "pkg/__init__.py")
    shop(APP, "pkg/inner.py")

    error = failure(reference)

    assert str(error).splitlines() == [
        first_line,
        f"It was looked for in {tmp_path} and on the rest of sys.path.",
        "If it is elsewhere, name its folder with --chdir or --pythonpath; if it is a package, install it.",
    ]
    assert (error.exit_code, error.frames) == (3, "")


@pytest.mark.parametrize(
    ("text", "message", "lines"),
    [
        (
            "\nimport not_installed_here\n",
            "shop cannot be imported: ModuleNotFoundError: No module named 'not_installed_here'",
            ["2, in <module>"],
        ),
        (
            "def f():\n    1 / 0\nf()\n",
            "shop cannot be imported: ZeroDivisionError: division by zero",
            ["3, in <module>", "2, in f"],
        ),
        (
            "try:\n    {}['x']\nexcept KeyError as e:\n    raise RuntimeError('no key') from e\n",
            "shop cannot be imported: RuntimeError: no key\n(caused by KeyError: 'x')",
            ["4, in <module>"],
        ),
        ("import sys\nsys.exit(7)\n", "shop cannot be imported: it called sys.exit(7)", ["2, in <module>"]),
        (
            "exit = __import__('sys').exit\nexit()\n",
            "shop cannot be imported: it called sys.exit()",
            ["2, in <module>"],
        ),
        ("x = (\n", "shop cannot be imported: SyntaxError: '(' was never closed", ["1"]),
        ("import shop.deeper\n", None, ["1, in <module>"]),
    ],
)
def test_an_application_whose_own_import_fails(shop, text, message, lines):
    """The user's own frames and the cause in a line; exit code 3; a module missing inside is not ours to look for."""
    shop(text)

    error = failure("shop:app")

    assert message is None or str(error) == message
    assert type(error) is BootError
    assert frame_lines(error) == lines


def test_an_interrupt_is_not_a_failure(shop):
    """Ctrl-C while the application is imported goes on to whoever handles it."""
    shop("raise KeyboardInterrupt\n")

    with pytest.raises(KeyboardInterrupt):
        load_application("shop:app")


CALLABLES = "from collections import OrderedDict\nfrom json import dumps\ndef create_app(): ...\ndef ap(e, s): ...\n"


@pytest.mark.parametrize(
    ("text", "reference", "message"),
    [
        (
            CALLABLES,
            "shop:app",
            "shop has no attribute 'app'; did you mean 'ap'?\nCallables in shop: ap, create_app",
        ),
        (
            CALLABLES,
            "shop",
            "shop has neither 'application' nor 'app'; name the application: shop:VARIABLE\n"
            "Callables in shop: ap, create_app",
        ),
        ("x = 1\n", "shop:app", "shop has no attribute 'app'\nThere is no callable in shop."),
        (
            "".join(f"def f{number}(): ...\n" for number in range(10)),
            "shop:f",
            "shop has no attribute 'f'; did you mean 'f9'?\nCallables in shop: f9, f8, f7, f6, f5, f4, f3, f2, …",
        ),
        (
            "class Site:\n    apps = 1\nsite = Site()\n",
            "shop:site.app",
            "a Site in shop has no attribute 'app'; did you mean 'apps'?",
        ),
        (
            "app = {}\n",
            "shop:app",
            "shop:app is a dict, not a callable WSGI application\nThere is no callable in shop.",
        ),
        (
            "app = 1\ndef helper(x): ...\ndef create_app(): ...\n",
            "shop:app",
            "shop:app is an int, not a callable WSGI application\n"
            "Did you mean the result of a factory, shop:create_app()?",
        ),
        (
            "def make():\n    return []\n",
            "shop:make()",
            "shop:make() returned a list, not a callable WSGI application",
        ),
        (
            "def make():\n    pass\n",
            "shop:make()",
            "shop:make() returned None, not an application; does the factory end with `return app`?",
        ),
        (
            "app = 3\n",
            "shop:app()",
            "shop:app is an int, so it cannot be called; name it without parentheses",
        ),
        (
            "def make(name):\n    return name\n",
            "shop:make()",
            "shop:make cannot be called like this: make() missing 1 required positional argument: 'name'",
        ),
    ],
)
def test_what_was_found_is_no_application(shop, text, reference, message):
    """The message shows what came and what was probably meant; exit code 4."""
    shop(text)

    error = failure(reference)

    assert (str(error), error.exit_code, error.frames) == (message, 4, "")


ASGI = (
    "\nThis worker class serves WSGI. `workerkit workers` lists the others; one that serves ASGI fits,"
    "\nor an adapter, such as a2wsgi.ASGIMiddleware(application)."
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "async def app(scope, receive, send): ...\n",
            f"shop:app is an ASGI application (a coroutine function).{ASGI}",
        ),
        (
            "class FastAPI:\n    async def __call__(self, scope, receive, send): ...\napp = FastAPI()\n",
            f"shop:app is an ASGI application (a FastAPI, whose __call__ is a coroutine function).{ASGI}",
        ),
        (
            "def app(scope, receive, send): ...\n",
            f"shop:app is an ASGI application (it takes three arguments: scope, receive and send).{ASGI}",
        ),
        (
            "def app(): ...\n",
            "shop:app needs no argument, so it looks like a factory and not like a WSGI application.\n"
            "To serve what it returns, write shop:app() or add --factory.",
        ),
        (
            "def app(config=None): ...\n",
            "shop:app needs no argument, so it looks like a factory and not like a WSGI application.\n"
            "To serve what it returns, write shop:app() or add --factory.",
        ),
        (
            "def app(stream): ...\n",
            "shop:app takes one argument; a WSGI application takes two, environ and start_response.\n"
            "A function of one stream is served by workerkit.run(function).",
        ),
        (
            "def app(a, b, c, d): ...\n",
            "shop:app takes 4 arguments; a WSGI application takes two, environ and start_response.",
        ),
        (
            "def app(environ, start_response, *, db): ...\n",
            "shop:app needs arguments by name; a WSGI application is called with two by place, and nothing else.",
        ),
    ],
)
def test_a_callable_with_another_interface_is_named_at_boot(shop, text, message):
    """ASGI applications, factories and other functions are told by their signature; exit code 4."""
    shop(text)

    error = failure("shop:app")

    assert (str(error), error.exit_code) == (message, 4)


def test_a_factory_that_raises_shows_its_frames(shop):
    """What the user's factory raises is their own failure: frames, cause, exit code 3, even for a TypeError."""
    shop("def make():\n    return len(3)\n")

    error = failure("shop:make()")

    assert str(error) == "shop:make() failed: TypeError: object of type 'int' has no len()"
    assert (type(error), frame_lines(error)) == (BootError, ["2, in make"])
