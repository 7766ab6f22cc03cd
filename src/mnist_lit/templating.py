"""The pages that are written: a run's report, a comparison of runs, and one to draw on."""

import base64
import functools
import hashlib
from importlib import resources

import jinja2

from mnist_lit.colours import STYLES


@functools.cache
def template(name: str) -> jinja2.Template:
    """Return a page's template, in which `styles.light.css` gives the colours as CSS variables.

    What is put into it is text, never markup, but where the template says `safe`.
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
    script = resources.files("mnist_lit").joinpath("report/templates/sort.js").read_text("utf-8")
    checksum = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals["script"] = {"text": script, "checksum": checksum}
    return environment.get_template(name)
