"""The figures as a table in Markdown, and what is asked of them."""

import os
import re

MIB = 1024 * 1024

# The number of objects that the bounds are for.
ASKED_OF = 1_000_000

COLUMNS = (
    "series",
    "gzip scrape (÷ nginx)",
    "text scrape (÷ nginx)",
    "gzip, text",
    "memory (an object)",
    "CPU of a refresh (÷ minimal)",
    "Python: gzip scrape, memory",
)


def machine(day):
    """Where and when."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {model[1] if model else os.uname().machine}, {day.isoformat()}\n"


def table(sizes):
    """A row for each size."""
    lines = [row(COLUMNS), "|---" + "|---:" * (len(COLUMNS) - 1) + "|"]
    lines += [row(cells(figures)) for figures in sizes]
    return "\n".join(lines) + "\n"


def row(texts):
    return f"| {' | '.join(texts)} |"


def cells(figures):
    objects = figures["objects"]
    python = "" if "python gzip" not in figures else f"{milliseconds(figures['python gzip'])}, {size(figures['python rss'])}"
    return (
        f"{objects:,}",
        f"{milliseconds(figures['gzip'])} ({figures['gzip'] / figures['nginx gzip']:.1f})",
        f"{milliseconds(figures['identity'])} ({figures['identity'] / figures['nginx identity']:.1f})",
        f"{size(figures['gzip bytes'])}, {size(figures['bytes'])}",
        f"{size(resident(figures))} ({resident(figures) / objects:,.0f} B)",
        f"{milliseconds(figures['cpu'])} ({figures['cpu'] / figures['minimal cpu']:.1f})",
        python,
    )


def resident(figures):
    """The more of what is resident after the refreshes, and after the scrapes that followed."""
    return max(figures["rss after refreshes"], figures["rss after scrapes"])


def milliseconds(seconds):
    value = seconds * 1000
    return f"{value:.2f} ms" if value < 10 else f"{value:,.0f} ms"


def size(count):
    for unit, bytes_ in (("MB", 1_000_000), ("kB", 1_000)):
        if count >= bytes_:
            value = count / bytes_
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{count} B"


def bounds(sizes):
    """What was measured at the largest size, what is asked for, and whether it is met."""
    asked = list(of_one(sizes[-1])) + list(of_all(sizes))
    lines = [row((f"of {sizes[-1]['objects']:,} objects", "measured", f"asked for of {ASKED_OF:,}", "")), "|---|---:|---:|---|"]
    # Of fewer objects it is only measured: there, what does not depend on them weighs too much.
    judged = sizes[-1]["objects"] >= ASKED_OF
    verdict = lambda met: ("met" if met else "**not met**") if judged else ""
    lines += [row((what, measured, bound, verdict(met))) for what, measured, bound, met in asked]
    return "\n".join(lines) + "\n"


def digests(sizes):
    """What was shown, so that two builds can be told apart that do not show the same."""
    lines = ["SHA-256 of the sorted lines of objects, of a world that stands still; they are what the simulator lists:", ""]
    return "\n".join(lines + [f"    {figures['objects']:>9,}  {figures['digest']}" for figures in sizes])


def at_most(what, measured, bound, unit=""):
    told = f"{measured:,.0f}" if measured >= 100 else f"{measured:.3g}"
    return what, f"{told}{unit}", f"≤ {bound:g}{unit}", measured <= bound


def of_one(figures):
    objects = figures["objects"]
    yield at_most("gzip scrape ÷ nginx", figures["gzip"] / figures["nginx gzip"], 1.2)
    yield at_most("text scrape ÷ nginx", figures["identity"] / figures["nginx identity"], 3)
    yield at_most("memory after refreshes, an object", figures["rss after refreshes"] / objects, 80, " B")
    yield at_most("memory after scrapes, an object", figures["rss after scrapes"] / objects, 80, " B")
    yield at_most("peak of the refreshes, an object", figures["peak after refreshes"] / objects, 140, " B")
    yield at_most("peak after scrapes, an object", figures["peak after scrapes"] / objects, 140, " B")
    yield at_most("CPU of a refresh ÷ minimal", figures["cpu"] / figures["minimal cpu"], 2)
    if figures["busy"]:
        what = f"p99 of {figures['busy']} gzip scrapes during refreshes ÷ median at rest"
        what, measured, bound, met = at_most(what, figures["busy p99"] / figures["gzip"], 5)
        # The simulator and the client work at the same time, on the same cores: nginx feels that as well.
        control = figures["nginx busy p99"] and f", nginx {figures['nginx busy p99'] / figures['nginx gzip']:.3g}"
        yield what, f"{measured}{control or ''}", bound, met
    for encoding, stalled in figures.get("stalled", {}).items():
        readers = f"{stalled['readers']} readers that stall, {encoding}"
        yield at_most(f"{readers}: memory grows by", stalled["growth"] / MIB, 100, " MiB")
        closed = stalled["closed"]
        told = "never" if closed is None else f"{closed:.0f} s"
        yield f"{readers}: all closed after", told, "≤ 60 s", closed is not None and closed <= 60
        seconds, status = stalled["next"]
        told = f"{status} in {milliseconds(seconds)}"
        yield f"{readers}: the next one", told, "503 at once", status == 503 and seconds <= 1
    if "up" in figures:
        up = "".join("1" if value == 1 else "0" for value in figures["up"])
        what = f"Prometheus: `up` of ten scrapes (with its storing, {max(figures['scrape seconds']):.2g} s at most)"
        yield what, up, "1" * 10, up == "1" * 10


def of_all(sizes):
    python = [figures for figures in sizes if "python gzip" in figures]
    if python:
        times = python[-1]["python gzip"] / python[-1]["gzip"]
        what = f"Python ÷ exporter, gzip scrape of {python[-1]['objects']:,}"
        yield what, f"{times:,.0f}", "≥ 200", times >= 200
    if len(sizes) > 2:
        for what, key in (("gzip", "gzip"), ("text", "identity")):
            parts = steps(sizes, key)
            measured = ", ".join(f"{part:.2f}" for part in parts)
            yield f"{what} scrape ÷ the line from the smallest size to the largest", measured, "≤ 1.5 each", max(parts) <= 1.5


def steps(sizes, key):
    """How far the sizes between lie above the line from the first to the last."""
    first, last = sizes[0], sizes[-1]
    slope = (last[key] - first[key]) / (last["objects"] - first["objects"])
    line = lambda objects: first[key] + slope * (objects - first["objects"])
    return [figures[key] / line(figures["objects"]) for figures in sizes[1:-1]]
