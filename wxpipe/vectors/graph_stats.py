"""What a graph tells: regimes, hubs, novelty, and how far back its edges reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wxpipe.vectors.graph_episodes import NONE, Edges, Numbers
from wxpipe.vectors.graph_store import Graph

REGIME_HOURS = 6
"""Rows that begin within so many hours are of one regime: weather does not change it in a quarter of one."""
LINKS = 16
"""Strongest links of each such span that count: communities are the same, and are found in a tenth of the time."""
LEAST_SHARE = 0.002
"""Communities with less than this share of all spans are no regimes."""
SEED = 20_110_303
SHOWN = 10


@dataclass(frozen=True)
class Regime:
    """A community: its share of the rows, how many hours it lasts at a time, and the months that most of it is in."""

    number: int
    share: float
    hours: float
    months: tuple[int, ...]


@dataclass(frozen=True)
class Hub:
    """A row that many edges lead to; the one of its episode that most do."""

    row: int
    in_degree: int


@dataclass(frozen=True)
class Stats:
    """A graph in figures.

    Attributes:
        short: rows with fewer edges than k.
        unreached: rows that no edge leads to.
        skewness: of the in-degrees: 0 where none is a hub (Radovanovic et al., 2010).
        cross_year: share of the edges that lead into another year, and what chance would give.
        novelty: its quantiles .05, .5, .95, .99; nan where no row has k edges.
        novel: rows that are furthest from the k-th episode, one an episode.
    """

    rows: int
    edges: int
    short: int
    unreached: int
    skewness: float
    cross_year: float
    cross_year_by_chance: float
    novelty: tuple[float, ...]
    novel: tuple[int, ...]
    hubs: tuple[Hub, ...]
    regimes: tuple[Regime, ...]


def describe_graph(graph: Graph, k: int, episode: int) -> Stats:
    """The figures of a graph.

    Args:
        episode: seconds; of rows that begin no further apart, one is shown.
    """
    degrees = graph.in_degree.astype(np.float64)
    spread = degrees.std()
    known = graph.novelty[np.isfinite(graph.novelty)]
    quantiles = np.quantile(known, (0.05, 0.5, 0.95, 0.99)) if len(known) else np.full(4, np.nan)
    cross, chance = _cross_year(graph)
    return Stats(
        rows=len(graph),
        edges=len(graph.indices),
        short=int((np.diff(graph.indptr) < k).sum()),
        unreached=int((graph.in_degree == 0).sum()),
        skewness=float(((degrees - degrees.mean()) ** 3).mean() / spread**3) if spread else 0.0,
        cross_year=cross,
        cross_year_by_chance=chance,
        novelty=tuple(map(float, quantiles)),
        novel=tuple(_spread_out(graph, np.nan_to_num(graph.novelty, nan=-1.0), episode)),
        hubs=tuple(Hub(row, int(graph.in_degree[row])) for row in _spread_out(graph, graph.in_degree, episode)),
        regimes=_regimes(graph),
    )


def find_regimes(starts: Numbers, edges: Edges) -> npt.NDArray[np.int32]:
    """The community of each row, int32 (n,): 0 the largest; -1 where it is in none that is large enough.

    Louvain's method (networkx) on spans of time, linked by how many edges there are between them.
    """
    import networkx

    spans, of_row = np.unique(starts // (REGIME_HOURS * 3600), return_inverse=True)
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(spans)))
    graph.add_weighted_edges_from(_links(of_row, edges, len(spans)))
    found = networkx.community.louvain_communities(graph, seed=SEED)
    least = max(2, LEAST_SHARE * len(spans))
    kept = sorted((sorted(one) for one in found if len(one) >= least), key=lambda one: (-len(one), one[0]))
    regime = np.full(len(spans), -1, np.int32)
    for number, members in enumerate(kept):
        regime[members] = number
    return regime[of_row]


def _links(of_row: Numbers, edges: Edges, spans: int) -> list[tuple[int, int, int]]:
    """(span, other span, edges between them), for each span the strongest."""
    there = edges.targets != NONE
    origins = np.repeat(of_row, there.sum(axis=1))
    targets = of_row[edges.targets[there]]
    pairs, counts = np.unique(np.minimum(origins, targets) * spans + np.maximum(origins, targets), return_counts=True)
    left, right = pairs // spans, pairs % spans
    both = np.concatenate([left, right])
    order = np.lexsort((np.tile(-counts, 2), both))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.searchsorted(both[order], both[order])
    strong = (rank < LINKS).reshape(2, -1).any(axis=0) & (left != right)
    return list(zip(left[strong].tolist(), right[strong].tolist(), counts[strong].tolist(), strict=True))


def _regimes(graph: Graph) -> tuple[Regime, ...]:
    months = graph.starts.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64) % 12 + 1
    cadence = float(np.median(np.diff(graph.starts))) if len(graph) > 1 else 0.0
    found = []
    for number in range(int(graph.regime.max(initial=-1)) + 1):
        members = graph.regime == number
        spells = int((members & ~np.concatenate([[False], members[:-1]])).sum())
        by_month = np.bincount(months[members], minlength=13)
        order = np.argsort(-by_month, kind="stable")
        most = order[: int(np.searchsorted(np.cumsum(by_month[order]), members.sum() / 2)) + 1]
        hours = float(members.sum()) * cadence / 3600 / max(1, spells)
        found.append(Regime(number, float(members.mean()), hours, tuple(sorted(most.tolist()))))
    return tuple(found)


def _cross_year(graph: Graph) -> tuple[float, float]:
    years = graph.starts.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64)
    if not len(graph.indices):
        return float("nan"), float("nan")
    rows_of = np.bincount(years - years[0])[years - years[0]]
    crossing = years[graph.origins] != years[graph.indices]
    return float(crossing.mean()), float((1 - rows_of / len(graph))[graph.origins].mean())


def _spread_out(graph: Graph, values: npt.NDArray[np.generic], episode: int) -> list[int]:
    """Rows with the greatest values, one an episode."""
    found: list[int] = []
    for row in np.argsort(-values.astype(np.float64), kind="stable").tolist():
        if all(abs(int(graph.starts[row] - graph.starts[other])) > episode for other in found):
            found.append(row)
        if len(found) == SHOWN:
            break
    return found
