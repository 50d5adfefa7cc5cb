"""The settings, as hooks see them."""

from __future__ import annotations

from typing import Any

from workerkit.config.settings import Settings


class Configuration:
    """``server.cfg`` and ``worker.cfg``: every setting an attribute, by its name or another name that it has."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __getattr__(self, name: str) -> Any:
        setting = self._settings.schema.find(name)
        if setting is None:
            raise AttributeError(f"there is no setting {name!r}")
        return self._settings[setting.name]

    def __dir__(self) -> list[str]:
        return sorted(self._settings.schema.keys())
