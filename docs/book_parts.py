"""Parts of a page that Sphinx does not bring: interactive figures, and pictures for phones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

PICTURE = re.compile(r'<img [^>]*src="(?P<path>[^"]*_images/(?P<name>[\w-]+))\.png"[^>]*>')
PHONE = "(max-width: 600px)"


class Interactive(SphinxDirective):
    """A figure whose argument is a file of HTML beside the page and whose content its caption."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"name": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """The figure; numbered and linked as any other."""
        name, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(name)
        figure = nodes.figure()
        figure += nodes.raw("", Path(path).read_text(encoding="utf-8"), format="html")
        caption = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, caption)
        figure += nodes.caption("", "", *caption.children[0].children)
        self.add_name(figure)
        return [figure]


def show_phone_pictures(
    app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Let a browser choose the picture that is made for a phone, where there is one."""
    drawn = Path(app.confdir) / "_extra" / "_images"

    def both(found: re.Match[str]) -> str:
        if not (drawn / f"{found['name']}-phone.png").is_file():
            return found[0]
        phone = f'<source media="{PHONE}" srcset="{found["path"]}-phone.png">'
        return f"<picture>{phone}{found[0]}</picture>"

    if "body" in context:
        context["body"] = PICTURE.sub(both, context["body"])


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("interactive", Interactive)
    app.connect("html-page-context", show_phone_pictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
