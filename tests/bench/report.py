# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""report.json into report.md and plots."""
import json

import scenarios
from page import Page
from stats import Samples


def write(document, folder):
    """Both files and the plots, in folder, which exists. Returns the targets that were missed."""
    (folder / "report.json").write_text(json.dumps(document, indent=1) + "\n")
    page = Page(folder)
    for kind in scenarios.ALL:
        if kind.name in document["scenarios"]:
            section(kind(document["quick"]), document["scenarios"][kind.name], page)
    lines = [*head(document), *page.target_lines(), *page.lines]
    (folder / "report.md").write_text("\n".join(lines) + "\n")
    return [target for target in page.targets if target.met is False]


def section(scenario, data, page):
    scenario.missing = data["missing"]
    page.heading(f"{scenario.name}: {scenario.title}")
    scenario.report(Samples(data["samples"]), page)
    for contestant, reason in data["missing"].items():
        page.text(f"Not available here: {contestant}: {reason}.")
    for problem in data["problems"]:
        page.text(f"Failed: {problem}.")
    if data["rounds"] < scenario.rounds:
        page.text(f"{data['rounds']} of {scenario.rounds} rounds: time was short.")


def head(document):
    lines = ["# Benchmark", ""]
    lines += [f"- {name}: {value}" for name, value in document["machine"].items()]
    kind = "quick, with few rounds and short runs" if document["quick"] else "full"
    kind += ", interrupted" if document["interrupted"] else ""
    return [*lines, f"- this run: {kind}", "", "Figures are medians, with the lowest and highest "
            "round in parentheses: their distance is this machine's noise.", "", "## Targets", ""]
