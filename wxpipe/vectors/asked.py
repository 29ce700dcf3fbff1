"""What a request looks for, and where that lies among the vectors: a time, a vector, fresh pictures, or several of them
weighed against each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from wxpipe.errors import UsageError
from wxpipe.vectors.answers import ExampleFound, Query, SearchRequest
from wxpipe.vectors.candidates import Searcher
from wxpipe.vectors.examples import combined


def asked(searcher: Searcher, request: SearchRequest, model: str) -> tuple[Query, npt.NDArray[np.float32]]:
    """The query and its vector.

    Args:
        model: of the vectors that are searched.

    Raises:
        NotFoundError: nothing begins at a time; lists what is near.
        UsageError: a vector of another width or model, or examples that cancel.
    """
    query, vector = _first(searcher, request, model)
    if not request.more:
        return query, vector
    found = [searcher.query(replace(request, at=one.at, like=None, more=())) for one in request.more]
    weights = [1.0, *(one.weight for one in request.more)]
    queries = [query, *(other for other, _ in found)]
    examples = tuple(
        ExampleFound(one.id, one.start, one.end, weight) for one, weight in zip(queries, weights, strict=True)
    )
    return replace(query, examples=examples), combined([vector, *(other for _, other in found)], weights)


def _first(searcher: Searcher, request: SearchRequest, model: str) -> tuple[Query, npt.NDArray[np.float32]]:
    like = request.like
    if like is None:
        return searcher.query(request)
    if (like.model, like.query.unit) != (model, request.unit):
        raise UsageError(
            f"the pictures were embedded as a {like.query.unit} by model {like.model}; this release has {request.unit}s"
            f" of {model}: read the folder again for it"
        )
    return like.query, like.vector
