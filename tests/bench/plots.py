# SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception
"""Plots with gnuplot, each as SVG and as PNG."""
import subprocess

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
TERMINALS = (("svg", "svg size 900,500 dynamic background rgb 'white' font 'sans-serif,13'"),
             ("png", "pngcairo size 900,500 background rgb 'white' font 'sans-serif,11'"))


def quoted(text):
    return "'" + str(text).replace("'", "''") + "'"


def draw(folder, name, title, xlabel, ylabel, commands):
    head = [f"set title {quoted(title)} noenhanced", f"set xlabel {quoted(xlabel)}",
            f"set ylabel {quoted(ylabel)}", "set key outside right noenhanced", "set grid ytics",
            "set yrange [0:*]"]
    for kind, terminal in TERMINALS:
        script = [f"set terminal {terminal}", f"set output {quoted(folder / f'{name}.{kind}')}"]
        done = subprocess.run(["gnuplot"], input="\n".join(script + head + commands) + "\n",
                              text=True, stderr=subprocess.PIPE, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"gnuplot, {name}: {done.stderr}")


def curves(folder, name, title, xlabel, ylabel, series, logx=None, logy=False):
    """series: {label: [(x, stats.Spread)]}. Medians as lines, with bars from lowest to highest."""
    commands, parts = [], []
    for i, (label, points) in enumerate(series.items()):
        commands += [f"$d{i} << END",
                     *(f"{x} {y.median} {y.low} {y.high}" for x, y in points), "END"]
        style = f"linecolor rgb '{COLOURS[i % len(COLOURS)]}'"
        parts += [f"$d{i} using 1:2:3:4 with yerrorlines {style} linewidth 2 pointtype 7 "
                  f"title {quoted(label)}"]
    if logx:
        ticks = sorted({x for points in series.values() for x, _ in points})
        commands += [f"set logscale x {logx}",
                     f"set xtics ({', '.join(f'{quoted(x)} {x}' for x in ticks)})"]
    if logy:
        commands += ["set yrange [*:*]", "set logscale y"]
    draw(folder, name, title, xlabel, ylabel, [*commands, f"plot {', '.join(parts)}"])


def bars(folder, name, title, ylabel, groups, series, logy=False):
    """series: {label: [stats.Spread or None, one for each of groups]}."""
    rows = []
    for i, group in enumerate(groups):
        cells = (points[i] for points in series.values())
        rows.append(" ".join([f'"{group}"'] + [f"{c.median} {c.low} {c.high}" if c else "NaN NaN NaN"
                                               for c in cells]))
    parts = [f"$d using {2 + 3 * i}:{3 + 3 * i}:{4 + 3 * i}:xtic(1) title {quoted(label)} "
             f"linecolor rgb '{COLOURS[i % len(COLOURS)]}'" for i, label in enumerate(series)]
    commands = ["$d << END", *rows, "END", "set style data histogram",
                "set style histogram errorbars gap 1", "set style fill solid 0.8",
                "set xtics rotate by -25 noenhanced"]
    if logy:
        commands += ["set yrange [*:*]", "set logscale y"]
    draw(folder, name, title, "", ylabel, [*commands, f"plot {', '.join(parts)}"])
