"""What the tests of figures share."""

from collections.abc import Iterator

import pytest
from matplotlib import font_manager

from mnist_lit.report import labels


@pytest.fixture
def fonts() -> Iterator[None]:
    """Forget what is known of fonts, before a test and after it."""
    known = (labels.fonts, labels._others, labels._characters)
    for function in known:
        function.cache_clear()
    before = list(font_manager.fontManager.ttflist)
    yield
    font_manager.fontManager.ttflist[:] = before
    for function in known:
        function.cache_clear()
