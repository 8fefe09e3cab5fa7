"""Results as pictures: latency by size, kbsearch's stages by size, recall against latency.

Use: ``draw(results, folder)``; needs matplotlib.

Never: a line through systems, only through sizes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["draw"]

_OURS: Final = "kbsearch"
_RAW: Final = ("tantivy", "faiss-flat", "faiss-hnsw")
_COLOURS: Final = {
    "kbsearch": "#c1121f", "tantivy": "#6c757d", "faiss-flat": "#adb5bd", "faiss-hnsw": "#495057",
    "bm25s+faiss": "#2a9d8f", "naive": "#e9a820", "txtai": "#7b2cbf", "lancedb": "#f3722c",
    "qdrant-edge": "#0077b6", "milvus-lite": "#588157",
}  # fmt: skip
_STAGES: Final = ("#264653", "#287271", "#2a9d8f", "#8ab17d", "#e9c46a", "#f4a261", "#e76f51", "#9b2226")
_DARK: Final = ("#264653", "#287271", "#9b2226")
_LEGIBLE: Final = 0.04  # of the highest bar; a lower part has no room for its name
_SPOT: Final = 11.0  # pixels around a point that a label leaves free
_LINE: Final = 16  # points; a label further away gets a line to its point
_OFFSETS: Final = (
    (10, 0, "left"), (0, -16, "center"), (0, 16, "center"), (-10, 0, "right"), (14, -32, "left"), (-14, -32, "right"),
    (14, -48, "left"), (-14, -48, "right"), (14, -64, "left"), (-14, -80, "right"),
)  # fmt: skip
"""Where a label may stand, best first: points to the right, points up, alignment."""

_LINE_HEIGHT: Final = 0.036
"""Of a label, as a share of the height of the plot."""


def draw(results: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Write the PNG files; returns them."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update(
        {
            "font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
            "grid.color": "#e9ecef", "axes.axisbelow": True, "figure.dpi": 130, "axes.titlelocation": "left",
            "axes.titleweight": "bold", "axes.titlepad": 14,
        }
    )  # fmt: skip
    sized = [result for result in results if result["name"] != "quick"] or list(results)
    return [_latency(sized, folder), _stages(sized, folder), _recall(sized, folder)]


def _latency(results: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """Median milliseconds of every system by size."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(10, 6.2))
    ends: dict[int, list[tuple[float, str]]] = {}  # by the largest size of each system
    for name in _names(results):
        points = [(result["corpus"]["passages"], _way(result, name)["p50"]) for result in results if _way(result, name)]
        sizes, times = zip(*points, strict=True)
        axes.plot(
            sizes, times, color=_COLOURS.get(name, "#000000"), marker="o", markersize=6,
            linewidth=3 if name == _OURS else 1.8, linestyle="--" if name in _RAW else "-",
            zorder=3 if name == _OURS else 2,
        )  # fmt: skip
        ends.setdefault(sizes[-1], []).append((times[-1], name))
    axes.set(xscale="log", yscale="log", xlabel="passages", ylabel="milliseconds a question, median")
    last = max(result["corpus"]["passages"] for result in results)
    first = min(result["corpus"]["passages"] for result in results)
    axes.set_xlim(first / 1.3, last * (1.15 if first < last else 1.3))
    for size, names in ends.items():
        _label_ends(axes, names, None if size == last else size)
    _plain_ticks(axes, results)
    axes.set_title("A question, its vector given; dashed: one leg of a search only")
    return _save(figure, folder / "speed-latency.png")


def _label_ends(axes: Any, ends: Sequence[tuple[float, str]], size: int | None) -> None:
    """Names at the right edge, or where the lines end that end sooner; moved apart where these are close together."""
    place, (low, high) = 0.0, axes.get_ylim()
    apart = (high / low) ** _LINE_HEIGHT
    for value, name in sorted(ends):
        place = max(value, place * apart)
        axes.annotate(
            f"{name}  {value:.2g} ms" if value < 10 else f"{name}  {value:.0f} ms",  # noqa: PLR2004 - two digits
            xy=(1.0 if size is None else size, place), xycoords=("axes fraction" if size is None else "data", "data"),
            xytext=(6 if size is None else 10, 0), textcoords="offset points",
            va="center", color=_COLOURS.get(name), fontsize=10.5, annotation_clip=False, zorder=4,
            fontweight="bold" if name == _OURS else "normal",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
        )  # fmt: skip


def _stages(results: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """Where kbsearch's time goes, stacked; the medians of stages need not sum up to the median of the whole."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8.5, 5.4))
    found = [result for result in results if (result.get("own") or {}).get("encoded", {}).get("stages")]
    if not found:
        axes.text(0.5, 0.5, "kbsearch did not tell its stages in these runs", ha="center", va="center", color="#6c757d")
        axes.set_axis_off()
        return _save(figure, folder / "speed-stages.png")
    names = list(dict.fromkeys(stage for result in found for stage in result["own"]["encoded"]["stages"]))
    labels = _labels(found)
    bottoms = [0.0] * len(found)
    for stage, colour in zip(names, _STAGES * 2, strict=False):
        heights = [result["own"]["encoded"]["stages"].get(stage, {}).get("p50", 0.0) for result in found]
        axes.bar(labels, heights, bottom=bottoms, color=colour, width=0.55, label=stage)
        for place, (height, bottom) in enumerate(zip(heights, bottoms, strict=True)):
            if height > _LEGIBLE * max(_whole(result) for result in found):
                axes.text(
                    place, bottom + height / 2, f"{stage} {height:.2f}", ha="center", va="center", fontsize=9.5,
                    color="white" if colour in _DARK else "#212529",
                )  # fmt: skip
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    axes.set(xlabel="passages", ylabel="milliseconds, median of each stage")
    axes.grid(visible=False, axis="x")
    axes.set_xlim(-0.6, len(found) - 0.4)
    handles, texts = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], texts[::-1], frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.set_title("kbsearch: a question, encoded, ranked and shown")
    return _save(figure, folder / "speed-stages.png")


def _whole(result: Mapping[str, Any]) -> float:
    return float(sum(stage["p50"] for stage in result["own"]["encoded"]["stages"].values()))


def _recall(results: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """Exact neighbours that the dense part finds, and what a question costs, of the result with the most systems."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5.4))
    result = max(results, key=lambda one: (len(_recalls(one)), one["corpus"]["passages"]))
    points = _recalls(result)
    lowest = min((recall for _, recall, _ in points), default=1.0)
    height = max(1 - lowest, 0.004)
    axes.set(xscale="log", xlabel="milliseconds a question (the whole search), median", ylabel="recall@100, dense part")
    axes.set_ylim(lowest - height * 0.25, 1 + height * 0.12)
    if points:
        axes.set_xlim(min(points)[0] / 1.8, max(points)[0] * 2.4)
    _plain_values(axes.xaxis)
    for value, recall, name in points:
        axes.scatter(value, recall, s=140 if name == _OURS else 70, color=_COLOURS.get(name), zorder=3)
    _label_points(figure, axes, sorted(points))
    axes.set_title(f"Neighbours found, {result['corpus']['passages']:,} passages")
    return _save(figure, folder / "speed-recall.png")


def _recalls(result: Mapping[str, Any]) -> list[tuple[float, float, str]]:
    """Milliseconds, recall and name of each system that was asked for neighbours."""
    found = {name: result["systems"][name].get("recall") for name in _names([result])}
    return [(_way(result, name)["p50"], recall["recall@100"], name) for name, recall in found.items() if recall]


def _label_points(figure: Any, axes: Any, points: Sequence[tuple[float, float, str]]) -> None:
    """Names beside their points, where neither a name nor a point is in the way."""
    figure.canvas.draw()  # only then it is known where anything is
    from matplotlib.transforms import Bbox

    spots = [axes.transData.transform((value, recall)) for value, recall, _ in points]
    taken = [Bbox.from_extents(x - _SPOT, y - _SPOT, x + _SPOT, y + _SPOT) for x, y in spots]
    for value, recall, name in points:
        for side, offset, where in _OFFSETS:
            label = axes.annotate(
                name, xy=(value, recall), xytext=(side, offset), textcoords="offset points", ha=where, va="center",
                color=_COLOURS.get(name), fontsize=10.5, fontweight="bold" if name == _OURS else "normal",
                arrowprops={"arrowstyle": "-", "color": "#ced4da", "lw": 0.8} if abs(offset) > _LINE else None,
            )  # fmt: skip
            box = label.get_tightbbox(figure.canvas.get_renderer()) if offset == 0 else label.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                break
            if (side, offset, where) != _OFFSETS[-1]:
                label.remove()
        taken.append(box)


def _names(results: Sequence[Mapping[str, Any]]) -> list[str]:
    names = dict.fromkeys(name for result in results for name in result["systems"])
    return [name for name in names if any(_way(result, name) for result in results)]


def _way(result: Mapping[str, Any], name: str) -> dict[str, float]:
    found = result["systems"].get(name, {})
    if "skipped" in found or not found.get("ways"):
        return {}
    way: dict[str, float] = next(iter(found["ways"].values())) or {}
    return way


def _labels(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sizes, and where not all were measured on one machine, on which."""
    machines = [result["machine"]["cpu"] for result in results]
    several = len(set(machines)) > 1
    return [
        f"{result['corpus']['passages']:,}" + (f"\n{machine}" if several else "")
        for result, machine in zip(results, machines, strict=True)
    ]


def _plain_ticks(axes: Any, results: Sequence[Mapping[str, Any]]) -> None:
    """Sizes and milliseconds as one reads them, not as powers."""
    from matplotlib.ticker import NullLocator

    labels = dict(zip([result["corpus"]["passages"] for result in results], _labels(results), strict=True))
    axes.set_xticks(sorted(labels), [labels[size] for size in sorted(labels)])
    axes.xaxis.set_minor_locator(NullLocator())
    _plain_values(axes.yaxis)


def _plain_values(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _save(figure: Any, file: Path) -> Path:
    import matplotlib.pyplot as plt

    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    return file
