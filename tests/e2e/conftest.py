"""One browser for all tests of pages; without it they are skipped, or fail where tools are required."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.e2e.browser import chromium
from tests.tools import require_tool

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium, driven by playwright."""
    pytest.importorskip("playwright.sync_api")
    with chromium(require_tool("chromium")) as launched:
        yield launched
