"""A page of the site as HTML: style, script and data are written into it, so that it works from a
disk as it does from a server.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache

import msgspec
from markupsafe import Markup

from matrix.report.inline import digest, embedded_json, joined, source, template


def html(
    name: str,
    root: str,
    *,
    kind: str = "",
    data: object = None,
    here: str = "",
    api: str = "",
    spans: Collection[int] = (),
    **context: object,
) -> bytes:
    """The page that the template `name` makes. `root` leads from the page to the site's directory,
    `kind` names the scripts that it has beyond those of every page, and `data` is for these.

    `here` is its name if the head of every page leads to it, `api` the page for programs, and
    `spans` are the lengths of strips on it: the page's policy forbids style attributes.
    """
    widths = "".join(f".s{span} {{ --n: {span}; }}\n" for span in sorted(spans))
    style, script = source("base.css") + source("site/site.css") + widths, joined(scripts(kind))
    return (
        template(f"site/{name}.html.j2")
        .render(
            root=root,
            here=here,
            api=api,
            style=Markup(style),
            style_hash=digest(style),
            script=Markup(script),
            script_hash=digest(script),
            data="" if data is None else Markup(embedded_json(data)),
            **context,
        )
        .encode()
    )


@cache
def scripts(kind: str) -> Sequence[str]:
    """The files of a page's script, in templates/, in the order in which they are joined. ESLint
    reads the same lists.
    """
    lists = msgspec.json.decode(source("site/scripts.json"), type=dict[str, list[str]])
    return (*lists["every"], *(lists[kind] if kind else ()))
