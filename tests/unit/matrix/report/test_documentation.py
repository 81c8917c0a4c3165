from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from matrix.report.documentation import build_documentation, linked_files
from tests.support.documentation import PAGES
from tests.support.project import ROOT
from vms.errors import UsageError

_SECONDS = 300
_LOADED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?([a-z]+:)?//|<link\b[^>]*//[^>]*>")
_BUILD = """
import sys
from pathlib import Path
from matrix.report.documentation import build_documentation
print(build_documentation(*map(Path, sys.argv[1:])))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built where there is no network."""
    site = tmp_path_factory.mktemp("site")
    staged = tmp_path_factory.mktemp("staged")
    done = subprocess.run(
        ["unshare", "--map-root-user", "--net", sys.executable, "-c", _BUILD, ROOT, site, staged],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{site}/index.html\n"
    return site


def test_every_page_of_the_documentation_is_in_it(site: Path) -> None:
    reached = {path.relative_to(ROOT) for path in linked_files(ROOT)}
    pages = {page for page in PAGES if page.parts[0] != ".github"}
    assert pages <= reached
    for page in pages:
        name = "index" if page.stem == "README" else page.stem
        assert (site / page.with_name(f"{name}.html")).is_file(), page


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    assert [page for page in pages if _LOADED.search(page.read_text())] == []
    assert "//fonts." not in "".join(style.read_text() for style in site.rglob("*.css"))


def test_its_search_knows_the_words_of_the_pages(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text())
    found = {entry["location"].partition("#")[0] for entry in index["docs"] if "kernel" in entry["text"]}
    assert {"docs/glossary.html", "docs/upgrade.html", "docs/nightly.html"} <= found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a](docs/none.md)", "'docs/none.md'"),
        ("[a](none.txt)", "'none.txt'"),
        ("[a](#none)", "'#none'"),
        ("[a](b.md)", "b.md"),
    ],
)
def test_a_link_that_leads_nowhere_and_a_page_that_no_menu_has_are_named(
    text: str, said: str, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    (root / "docs").mkdir(parents=True)
    (root / "README.md").write_text(f"# A page\n\n{text}\n")
    (root / "b.md").write_text("# Another\n")
    (root / "docs" / "iframe-worker.js").touch()
    settings = (ROOT / "docs" / "mkdocs.yml").read_text().partition("\nnav:")[0]
    (root / "docs" / "mkdocs.yml").write_text(f"{settings}\nnav:\n  - A page: README.md\n")
    with pytest.raises(UsageError) as caught:
        build_documentation(root, tmp_path / "site", tmp_path / "staged")
    assert str(caught.value).startswith("the documentation has faults:\n")
    assert said in str(caught.value)
