"""Proxies in front of workerkit: each runs a recipe of the documentation, on a port of its own, as our child.

To each request that it passes on a proxy adds a name of its own making, and writes that into its log. A request that
has no such name, or one that was used before, did not come from a client.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGQUIT, SIGUSR1, SIGWINCH
from typing import NamedTuple, Self

from workerkit.testing.deadline import DEADLINE
from workerkit.testing.log import Log

_ROOT = Path(__file__).resolve().parents[2]
_NGINX = _ROOT / "docs" / "howto" / "nginx.conf"
_HAPROXY = _ROOT / "examples" / "proxies" / "haproxy.cfg"
_APACHE = _ROOT / "examples" / "proxies" / "apache.conf"
_LINE = re.compile(r"^request (?P<port>\d+) (?P<name>\S+) \[(?P<server>.*?)\] (?P<status>-?\d+) (?P<what>.*)$")
_ESCAPED = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))")
_NOBODY = ("", "-", "<NOSRV>")

_NGINX_AROUND = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{ }}
http {{
    log_format counted 'request $remote_port $request_id [$upstream_addr] $status $request_method $request_uri';
    access_log /dev/stdout counted;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""
_HAPROXY_COUNTED = """\
bind fd@{descriptor}
    log stdout format raw local0
    log-format "request %cp %ID [%s] %ST %HM %HU"
    unique-id-format %[uuid]
    unique-id-header X-Request-Id
"""
_APACHE_AROUND = """\
ServerName localhost
ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/apache.pid
User nobody
Group nogroup
Listen {address}
StartServers 1
ServerLimit 1
ThreadsPerChild 16
MaxRequestWorkers 16
ErrorLog /dev/stderr
LogLevel notice
{modules}
LogFormat "request %{{remote}}p %{{UNIQUE_ID}}e [%R] %>s %r" counted
CustomLog /dev/stdout counted
Include {folder}/site.conf
"""
_APACHE_MODULES = ("mpm_event", "authz_core", "alias", "headers", "proxy", "proxy_http", "unique_id")


class Forwarded(NamedTuple):
    """A request of a client that the proxy passed on, as its log says."""

    port: int
    """The client's."""
    name: str
    status: int
    """What the client was answered."""
    request: str
    """Method and target; for some proxies, with the version behind it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to run one of the proxies."""

    name: str
    program: str
    ready: str
    """What it says when it listens."""
    unix: bool = False
    """Whether it reaches workerkit by a Unix socket."""
    streaming: bool = False
    """Whether it passes bodies on as they come, if it can be told."""


NGINX = Kind("nginx", "nginx", "event method")
NGINX_UNIX = Kind("nginx, Unix socket", "nginx", "event method", unix=True)
NGINX_STREAMING = Kind("nginx, not buffering", "nginx", "event method", streaming=True)
HAPROXY = Kind("haproxy", "haproxy", "polling mechanism")
APACHE = Kind("Apache", "apache2", "resuming normal operations")
KINDS = (NGINX, NGINX_UNIX, NGINX_STREAMING, HAPROXY, APACHE)


class Front:
    """A running proxy. Use it as a context manager: leaving it ends the process."""

    def __init__(self, kind: Kind, folder: Path, server: str) -> None:
        """Start it in front of ``server``, as workerkit's log names its address, and wait until it listens."""
        self._kind = kind
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            command = _CONFIGURE[kind.program](kind, folder, listener, server)
            if kind is not HAPROXY:
                listener.close()
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="backslashreplace",
                pass_fds=[listener.fileno()] if kind is HAPROXY else [],
                start_new_session=True,
            )
        assert self._process.stdout is not None
        self.log = Log(self._process.stdout)
        try:
            self.log.wait_for(kind.ready)
        except AssertionError:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let it finish what it has, and wait until its log is complete."""
        self._process.send_signal(_LEAVE[self._kind.program])
        try:
            self._process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, SIGKILL)
            self._process.wait(DEADLINE)
        self.log.close()

    def requests(self) -> tuple[list[Forwarded], int]:
        """Return what it passed on, and how many others it answered itself; to be asked when it has stopped."""
        lines = self.log.find(_LINE)
        passed = [line for line in lines if line["server"] not in _NOBODY]
        forwarded = [
            Forwarded(int(at["port"]), at["name"], int(at["status"]), self._plain(at["what"])) for at in passed
        ]
        return forwarded, len(lines) - len(passed)

    def _plain(self, logged: str) -> str:
        """Take back what the log escaped; haproxy's escapes no backslash, and so nothing by one."""
        return logged if self._kind is HAPROXY else _ESCAPED.sub(_unescaped, logged)


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else match[2]


def _replaced(text: str, *pairs: tuple[str, str]) -> str:
    """Put the second of each pair in the place of the first, which must be there."""
    for old, new in pairs:
        assert old in text, f"the recipe has no {old!r}"
        text = text.replace(old, new)
    return text


def _name(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"{host}:{port}"


def _address(server: str) -> str:
    return server.removeprefix("http://").rstrip("/")


def _nginx(kind: Kind, folder: Path, listener: socket.socket, server: str) -> list[str]:
    counted = "proxy_set_header Host $asked_host;\n proxy_set_header X-Request-Id $request_id;"
    if kind.streaming:
        counted += "\n proxy_request_buffering off;"
    site = _replaced(
        _NGINX.read_text(),
        ("listen 80;", f"listen {_name(listener)};"),
        ("server unix:/run/app/web.sock", f"server {_address(server)}"),
        ("proxy_set_header Host $asked_host;", counted),
    )
    (folder / "site.conf").write_text(site)
    (folder / "nginx.conf").write_text(_NGINX_AROUND.format(folder=folder))
    return ["nginx", "-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", "stderr"]


def _haproxy(kind: Kind, folder: Path, listener: socket.socket, server: str) -> list[str]:
    recipe = _replaced(
        _HAPROXY.read_text(),
        ("bind :80\n", _HAPROXY_COUNTED.format(descriptor=listener.fileno())),
        # Also for the first request of a client, so that a stranger's comes on the connection of whoever was there.
        ("server app 127.0.0.1:8000", f"http-reuse always\n    server app {_address(server)}"),
    )
    # It says nothing when it listens, so it is given a socket that does. All connections to the server are one
    # thread's; several would each have their own.
    (folder / "haproxy.cfg").write_text(f"global\n    nbthread 1\n\n{recipe}")
    return ["haproxy", "-db", "-V", "-f", f"{folder}/haproxy.cfg"]


def _apache(kind: Kind, folder: Path, listener: socket.socket, server: str) -> list[str]:
    site = _replaced(
        _APACHE.read_text(),
        ("<VirtualHost *:80>", f"<VirtualHost {_name(listener)}>"),
        ("http://127.0.0.1:8000/", f"http://{_address(server)}/"),
        ("RequestHeader unset", "RequestHeader set X-Request-Id %{UNIQUE_ID}e\n    RequestHeader unset"),
    )
    modules = os.environ.get("APACHE_MODULES", "/usr/lib/apache2/modules")
    load = "\n".join(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in _APACHE_MODULES)
    (folder / "site.conf").write_text(site)
    (folder / "apache.conf").write_text(_APACHE_AROUND.format(folder=folder, address=_name(listener), modules=load))
    return ["apache2", "-DFOREGROUND", "-d", str(folder), "-f", f"{folder}/apache.conf"]


_LEAVE = {"nginx": SIGQUIT, "haproxy": SIGUSR1, "apache2": SIGWINCH}
_CONFIGURE = {"nginx": _nginx, "haproxy": _haproxy, "apache2": _apache}
