"""The documentation as a site: built without a network, every link checked."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from vms.directories import replace_directory
from vms.errors import UsageError

_LINK = re.compile(r"\]\(([^)\s#]+)[^)\s]*\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def build_documentation(root: Path, site: Path, staged: Path) -> Path:
    """Builds the site of the checkout `root` in the directory `site`, by way of `staged`, an
    empty directory, and returns its first page.

    Raises UsageError that names each link and each page of the navigation that leads nowhere, and
    each page that the navigation lacks.
    """
    from mkdocs.commands.build import build
    from mkdocs.config import load_config
    from mkdocs.exceptions import Abort

    heard = _Complaints()
    pages, built = staged / "pages", staged / "site"
    for file in sorted(linked_files(root)):
        _copy(file, pages / file.relative_to(root))
    log = logging.getLogger("mkdocs")
    log.addHandler(heard)
    try:
        config = load_config(
            str(root / "docs" / "mkdocs.yml"), docs_dir=str(pages), site_dir=str(built), strict=True
        )
        for script in config.extra["polyfills"]:
            _copy(root / script, pages / script)
        build(config)
    except Abort as error:
        raise UsageError("\n".join(["the documentation has faults:", *heard.messages])) from error
    finally:
        log.removeHandler(heard)
    files = sorted(file for file in built.rglob("*") if file.is_file())
    replace_directory(site, ((str(file.relative_to(built)), file.read_bytes()) for file in files))
    return site / "index.html"


def _copy(file: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, copy)


def linked_files(root: Path) -> set[Path]:
    """The README of the checkout, and all files of it to which its pages lead."""
    found: set[Path] = set()
    waiting = [root / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in found:
            continue
        found.add(page)
        if page.suffix == ".md":
            waiting += _links(page, root)
    return found


def _links(page: Path, root: Path) -> Iterator[Path]:
    for link in _LINK.findall(_CODE.sub("", page.read_text())):
        target = (page.parent / link).resolve()
        if ":" not in link and target.is_file() and target.is_relative_to(root):
            yield target


class _Complaints(logging.Handler):
    """Keeps the warnings of a build."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
