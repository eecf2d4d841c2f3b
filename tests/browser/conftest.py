"""One browser for all tests of this room."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from browser.chromium import PROGRAMS, program


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of the system; nothing is downloaded.

    It ends with its tests: while it lives an event loop runs in this process, in which no other test can start one.
    """
    if (found := program()) is None:
        message = f"no browser is here, none of {', '.join(PROGRAMS)}: .ci/run installs Debian's"
        if os.environ.get("CI"):
            pytest.fail(message)  # there nothing but GPU tests is skipped
        pytest.skip(message)  # by name, on a machine without a browser
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found)
        yield started
        started.close()
