"""The browser's page, for every test of it."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from pages import FILE, Opened, pretrained, write


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    """Open the written page, or that of the packaged weights; see that it asks for nothing."""
    said: list[str] = []
    contexts = []

    def open_page(width: int = 1280, scheme: Any = "light", **options: Any) -> Page:
        if not FILE.exists():
            write(pretrained())
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: said.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(FILE.absolute().as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    address = FILE.absolute().as_uri()
    assert [line for line in said if line != address and not line.startswith("blob:")] == []
