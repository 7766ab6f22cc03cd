"""The pages that are written: a run's report, a comparison of runs, and one to draw on."""

import functools

import jinja2

from mnist_lit.colours import STYLES


@functools.cache
def template(name: str) -> jinja2.Template:
    """Return a page's template, in which `styles.light.css` gives the colours as CSS variables.

    What is put into it is text, never markup.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("mnist_lit", part)
                for part in ("report/templates", "formats/page")
            ]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["styles"] = STYLES
    return environment.get_template(name)
