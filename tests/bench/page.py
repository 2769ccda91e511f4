# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""The report: sections of text, tables, plots, and the table of targets that heads it."""
import dataclasses

import plots


@dataclasses.dataclass(frozen=True)
class Target:
    what: str
    wanted: str
    measured: str
    met: bool


def number(value, digits=3):
    """About three digits, none of them lost before the point."""
    if value is None:
        return "—"
    if value == 0 or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def with_spread(found, digits=3):
    """A stats.Spread as people read it: median (lowest–highest)."""
    if found is None:
        return "—"
    if found.low == found.high:
        return number(found.median, digits)
    return (f"{number(found.median, digits)} "
            f"({number(found.low, digits)}–{number(found.high, digits)})")


class Page:
    def __init__(self, folder):
        self.folder = folder
        self.targets = []
        self.lines = []

    def heading(self, text):
        self.lines += [f"## {text}", ""]

    def text(self, text):
        self.lines += [text, ""]

    def table(self, header, rows):
        self.lines += [f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *rows)]
        self.lines.append("")

    def target(self, what, wanted, measured, met):
        """met: whether, or None when it was not measured."""
        self.targets.append(Target(what, wanted, measured, met))

    def at_least(self, what, wanted, measured):
        """A target that measured must reach."""
        self.target(what, f">= {wanted:g}", number(measured),
                    None if measured is None else measured >= wanted)

    def at_most(self, what, wanted, measured, unit=""):
        """A target that measured must not pass."""
        self.target(what, f"<= {wanted:g}{unit}",
                    number(measured) + (unit if measured is not None else ""),
                    None if measured is None else measured <= wanted)

    def curves(self, name, title, series, **plot):
        """As plots.curves(); nothing where nothing was measured."""
        measured = {label: points for label, points in series.items() if points}
        if measured:
            plots.curves(self.folder, name, title, series=measured, **plot)
            self._show(name, title)

    def bars(self, name, title, series, **plot):
        """As plots.bars(); nothing where nothing was measured."""
        measured = {label: found for label, found in series.items() if any(found)}
        if measured:
            plots.bars(self.folder, name, title, series=measured, **plot)
            self._show(name, title)

    def _show(self, name, title):
        self.text(f"![{title}]({name}.svg)")

    def target_lines(self):
        words = {True: "yes", False: "**no**", None: "not measured"}
        rows = [[t.what, t.wanted, t.measured, words[t.met]] for t in self.targets]
        table = Page(self.folder)
        table.table(["target", "wanted", "measured", "met"], rows)
        return table.lines
