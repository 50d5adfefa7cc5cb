"""The benchmarks' own virtual environment: made on first use, kept up to date with the requirements."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from benchmarks.apps import FILE, FILE_BYTES
from benchmarks.peers import PEERS, Peer
from benchmarks.processes import ROOT
from benchmarks.served import FOLDER

APPLICATIONS = ("flask>=3",)  # what the example applications need
_INSTALL_SECONDS = 600
# Otherwise setuptools installs an import hook, which alone would add some 10 ms to workerkit's start.
_PLAIN_PATH = ("--config-settings", "editable_mode=compat")


@dataclass(frozen=True, slots=True)
class Environment:
    """Where the servers are installed, in which versions, and why some are not."""

    bin: Path
    versions: dict[str, str]
    failures: dict[str, str]

    def missing(self, peer: Peer) -> str | None:
        """Return why a peer cannot be measured, or None if it can."""
        if reason := self.failures.get(peer.distribution):
            return f"not installed: {reason}"
        return None


def prepare(peers: Iterable[Peer], say: Callable[[str], None]) -> Environment:
    """Install what the peers need, each server on its own, so that one that fails takes no other along."""
    environment = FOLDER / "venv"
    python = environment / "bin" / "python"
    if not python.exists():
        say(f"making {environment.relative_to(ROOT)}")
        subprocess.run([sys.executable, "-m", "venv", environment], check=True, timeout=_INSTALL_SECONDS)
    Path(FILE).write_bytes(b"x" * FILE_BYTES)
    wanted = _requirements(peers)
    stamp = _Stamp(environment / "installed.json")
    failures: dict[str, str] = {}
    for distribution, arguments in wanted.items():
        if stamp.holds(distribution, arguments):
            continue
        say(f"installing {distribution}")
        if reason := _install(python, arguments):
            failures[distribution] = reason
        else:
            stamp.add(distribution, arguments)
    _compile(python)
    return Environment(python.parent, _versions(python, wanted), failures)


def _requirements(peers: Iterable[Peer]) -> dict[str, list[str]]:
    """Return pip's arguments by distribution; workerkit itself is installed from this tree, in place."""
    wanted: dict[str, list[str]] = {"flask": list(APPLICATIONS)}
    distributions = {peer.distribution for peer in peers}
    for peer in PEERS:
        if peer.distribution not in distributions:
            continue
        if peer.distribution == "workerkit":
            wanted["workerkit"] = ["-e", f"{ROOT}[all]", *_PLAIN_PATH]
        else:
            known = wanted.setdefault(peer.distribution, [])
            known.extend(requirement for requirement in peer.requirements if requirement not in known)
    return wanted


class _Stamp:
    """Remembers what was installed, so that the next run starts at once; a failure is tried again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._installed: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def holds(self, distribution: str, arguments: list[str]) -> bool:
        return self._installed.get(distribution) == self._key(arguments)

    def add(self, distribution: str, arguments: list[str]) -> None:
        self._installed[distribution] = self._key(arguments)
        self._path.write_text(json.dumps(self._installed, indent=2))

    @staticmethod
    def _key(arguments: list[str]) -> str:
        """Return what an installation depends on; for a tree installed in place that is its metadata too."""
        parts = [sys.version, *arguments]
        if "-e" in arguments:
            parts.append((ROOT / "pyproject.toml").read_text())
        return sha256("\n".join(parts).encode()).hexdigest()


def _install(python: Path, arguments: list[str]) -> str | None:
    """Run pip; return None, or the line that says why it failed."""
    command: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        *arguments,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"pip took longer than {_INSTALL_SECONDS} s"
    if done.returncode == 0:
        return None
    if "ev.h" in done.stdout + done.stderr:
        return "it is built from source, and libev's headers are missing (Debian: apt-get install libev-dev)"
    errors = [line.strip() for line in done.stderr.splitlines() if "error:" in line.lower()]
    return errors[0] if errors else f"pip ended with {done.returncode}"


def _compile(python: Path) -> None:
    """Do for this tree what pip does for what it installs: a server that compiles itself takes more memory."""
    folders = [ROOT / "workerkit", ROOT / "benchmarks"]
    subprocess.run([python, "-m", "compileall", "-q", *folders], check=True, timeout=_INSTALL_SECONDS)


def _versions(python: Path, distributions: Iterable[str]) -> dict[str, str]:
    """Ask the environment itself which versions it holds."""
    program = (
        "import json, sys\n"
        "from importlib import metadata\n"
        "found = {d.name.lower(): d.version for d in metadata.distributions()}\n"
        "print(json.dumps({name: found[name] for name in sys.argv[1:] if name in found}))\n"
    )
    command: list[str | Path] = [python, "-c", program, *distributions]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    versions: dict[str, str] = json.loads(done.stdout)
    return versions
