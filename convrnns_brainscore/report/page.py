"""HTML pages from the templates of this folder."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from convrnns_brainscore.report.tables import with_error


def render(template: str, **values: Any) -> str:
    """A page as text.

    Parameters
    ----------
    template : str
        A file of ``templates/``.
    **values
        The template's variables.
    """
    environment = Environment(
        loader=PackageLoader("convrnns_brainscore.report"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["pm"] = lambda found: with_error(found.difference, found.error)
    return environment.get_template(template).render(**values)
