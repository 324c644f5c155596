"""Replacements of actors and stores: `module:Class`, `file.py:Class`, or the name of an entry point."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from apps.common.exits import Exit, Failure


def load_class(role: str, name: str) -> type[Any]:
    """Find the class that a setting names; `role` is the setting's key and, in the plural, its entry point group.

    Raises Failure (78) that says what was looked for and where.
    """
    if ":" not in name:
        return _entry_point(role, name)
    place, _, attribute = name.rpartition(":")
    module = _file(role, Path(place)) if place.endswith(".py") else _module(role, place)
    found = getattr(module, attribute, None)
    if not isinstance(found, type):
        raise unfit(role, name, f"{place} has no class {attribute}")
    return found


def group(role: str) -> str:
    """Name the entry point group of a replaceable part: `angarium.routers`."""
    return f"angarium.{role}s"


def _entry_point(role: str, name: str) -> type[Any]:
    known = {point.name: point for point in entry_points(group=group(role))}
    if name not in known:
        choices = ", ".join(sorted(known)) or "none is installed"
        raise unfit(role, name, f"no entry point of that name in {group(role)} ({choices})")
    try:
        found = known[name].load()
    except (ImportError, AttributeError, SyntaxError) as error:
        raise unfit(role, name, told(error)) from error
    if not isinstance(found, type):
        raise unfit(role, name, "the entry point is no class")
    return found


def _module(role: str, name: str) -> ModuleType:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except (ImportError, SyntaxError) as error:
        raise unfit(role, name, told(error)) from error


def _file(role: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise unfit(role, str(path), "there is no such file")
    name = f"angarium_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        raise unfit(role, str(path), told(error)) from error
    return module


def told(error: Exception) -> str:
    """Put what went wrong while loading into words; what else a file raises is its own, and shown with its trace."""
    return f"{type(error).__name__}: {error}"


def unfit(role: str, name: str, why: str) -> Failure:
    """Make the failure (78) that says why a name is of no use for this part."""
    return Failure(
        f"cannot load --{role.replace('_', '-')} {name}",
        why=why,
        do="name it as module:Class, as file.py:Class, or by an installed entry point",
        code=Exit.CONFIG,
    )
