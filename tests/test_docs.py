"""The documentation: it builds without a remark, fetches nothing when it is read, and its links lead somewhere.

What it tells its reader to do is tried in tests/apps/test_guides.py and tests/interop.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from apps.commands import COMMANDS
from apps.common.config import FIELDS
from apps.common.exits import Exit
from apps.node.metric_names import ABOUT

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md")])
CODE = re.compile(r"^(?:```.*?^```|    [^\n]*)$|``[^\n]*?``|`[^`\n]*`|<!--.*?-->", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)[^)]*\)")
TITLE = re.compile(r"^#{1,6} +(.*?) *$", re.MULTILINE)
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "embed": "src", "object": "data"}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as HTML; a warning of Sphinx fails the build."""
    pytest.importorskip("furo", reason="the extra docs is not installed")
    out = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(out / "trees")]
    done = subprocess.run([*command, DOCS, out / "html"], capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return out / "html"


class Fetches(HTMLParser):
    """What a browser fetches for a page by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        kinds = (given.get("rel") or "").split()
        if tag == "link" and not {"next", "prev", "index", "search", "canonical"} & set(kinds):
            self.found.append(given.get("href") or "")
        elif tag in FETCHED:
            self.found.append(given.get(FETCHED[tag]) or "")
        self.found += re.findall(r"url\(([^)]*)\)", given.get("style") or "")


def fetched_by(html: str) -> list[str]:
    """Return the addresses that a page makes a browser fetch."""
    parser = Fetches()
    parser.feed(html)
    inline = re.findall(r"<style.*?</style>", html, re.DOTALL)
    return [*parser.found, *(url for style in inline for url in in_css(style))]


def in_css(text: str) -> list[str]:
    """Return the addresses that a style sheet makes a browser fetch."""
    plain = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    found = [*re.findall(r"url\(\s*['\"]?([^'\")]*)", plain), *re.findall(r"@import\s+['\"]([^'\"]+)", plain)]
    return [url for url in found if not url.startswith("data:")]


def test_no_page_fetches_from_elsewhere(built: Path) -> None:
    pages, sheets = list(built.rglob("*.html")), list(built.rglob("*.css"))
    assert len(pages) > 20
    fetched = {(page, url) for page in pages for url in fetched_by(page.read_text())}
    fetched |= {(sheet, url) for sheet in sheets for url in in_css(sheet.read_text())}
    assert [url for _, url in fetched if urlsplit(url).scheme or urlsplit(url).netloc] == []
    files = {place.parent / unquote(urlsplit(url).path) for place, url in fetched if urlsplit(url).path}
    assert [str(path) for path in files if not path.exists()] == []


def test_such_fetches_would_be_seen() -> None:
    html = '<link rel="stylesheet" href="https://a/x.css"><script src="//b/x.js"></script><style>@import "http://c";</style>'
    assert fetched_by(html) == ["https://a/x.css", "//b/x.js", "http://c"]
    assert in_css("@font-face { src: url('https://fonts/x.woff2') } a { b: url(data:x) }") == ["https://fonts/x.woff2"]


def test_the_reference_is_whole(built: Path) -> None:
    commands = (built / "reference-commands.html").read_text()
    assert [name for name in COMMANDS if f">angarium {name}<" not in commands] == []
    settings = (built / "reference-settings.html").read_text()
    assert [key for key in FIELDS if f"--{key.replace('_', '-')}<" not in settings] == []
    metrics = (built / "reference-metrics.html").read_text()
    assert [name for name in ABOUT if f"angarium_{name}<" not in metrics] == []
    admin = (built / "reference-admin.html").read_text()
    assert all(f">{text}<" in admin for text in ("GET /v1/status", "PUT /v1/log-level", "UserView", "Stats"))
    assert "from the program" not in commands + settings + metrics + admin


def test_people_have_written_of_each_setting_command_and_exit_code() -> None:
    configuration, commands = (DOCS / "configuration.md").read_text(), (DOCS / "commands.md").read_text()
    assert [key for key in FIELDS if f"`{key}`" not in configuration] == []
    assert [name for name in COMMANDS if not re.search(rf"^## angarium .*\b{name}\b", commands, re.MULTILINE)] == []
    for page in (commands, (ROOT / "README.md").read_text()):
        assert [code for code in Exit if f"\n| {code.value} | " not in page] == []


def test_pictures_stand_in_the_pages(built: Path) -> None:
    pictures = {path.name for kind in ("svg", "png") for path in DOCS.rglob(f"*.{kind}")}
    shown = " ".join(page.read_text() for page in built.glob("*.html")) + as_html((ROOT / "README.md").read_text())
    # Of a plot that is there in two formats one will do.
    stems = {name.rsplit(".", 1)[0] for name in pictures}
    assert [stem for stem in stems if not re.search(rf'src="[^"]*{re.escape(stem)}\.', shown)] == []


def as_html(markdown: str) -> str:
    """Return the pictures of a page that is not built."""
    return " ".join(f'<img src="{target}">' for target in re.findall(r"!\[[^\]]*\]\(([^)\s]+)", markdown))


def anchors(page: Path) -> set[str]:
    """Return the anchors that a forge gives to the titles of a page."""
    found: set[str] = set()
    for title in TITLE.findall(re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = next(n for n in range(100) if (f"{slug}-{n}" if n else slug) not in found)
        found.add(f"{slug}-{number}" if number else slug)
    return found


def links(page: Path) -> Iterator[str]:
    """Yield where a page's links lead to, but for those to other sites."""
    for target in LINK.findall(CODE.sub("", page.read_text())):
        if not urlsplit(target).scheme:
            yield target


def broken(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere."""
    wrong = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        goal = (page.parent / unquote(path)).resolve() if path else page
        if not goal.exists() or (anchor and anchor not in anchors(goal)):
            wrong.append(target)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_broken_links_would_be_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One & two\n\n## One\n## One\n[a](#one--two) [b](page.md#one-1) [c](#three) [d](gone.md)\n`[e](f)`\n"
    )
    assert broken(page) == ["#three", "gone.md"]


def test_there_are_links_to_judge() -> None:
    assert sum(len(list(links(page))) for page in PAGES) > 60
