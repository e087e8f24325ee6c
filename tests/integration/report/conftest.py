# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A headless Chromium with a fresh profile."""

from __future__ import annotations

import json
import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--window-size=1200,900")


class Browser:
    """A browser with a page. It notes every request and every message of the console."""

    def __init__(self, profile):
        options = webdriver.ChromeOptions()
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.binary_location = shutil.which("chromium")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))

    def show(self, path):
        """Open a file, with nothing of what was before: neither requests and messages nor another screen."""
        self.driver.get("about:blank")
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(f"file://{path}")
        return self

    def run(self, script, *arguments):
        """The value that a script returns in the page."""
        return self.driver.execute_script(script, *arguments)

    def console(self):
        """What was said on the console: errors, and what a policy refused."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self):
        """The addresses that were asked for."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith("data:")]

    def look(self, width, dark=False, media=""):
        """Let the page be as wide as a screen, dark, or on paper."""
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})

    def column(self, table, title):
        """The values of a column of a table, as they are for sorting."""
        return self.run(
            "const table = document.querySelector(arguments[0]);"
            "const at = [...table.tHead.rows[0].cells].findIndex(one => one.textContent === arguments[1]);"
            "return [...table.tBodies[0].rows].map(row => row.cells[at].dataset.value)",
            table,
            title,
        )

    def click(self, table, title):
        """Click the title of a column."""
        self.run(
            "const heads = [...document.querySelectorAll(arguments[0] + ' thead th')];"
            "heads.find(one => one.textContent === arguments[1]).querySelector('button').click()",
            table,
            title,
        )


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """The browser; it is closed at the end."""
    found = Browser(tmp_path_factory.mktemp("browser"))
    yield found
    found.driver.quit()
