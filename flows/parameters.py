"""The types of the flows' parameters: Prefect makes its forms of them, and refuses what does not fit.

What a parameter means stands in its flow's ``Args``: that is where Prefect looks for it.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field

from wxpipe.pipeline.stages import NAMES

Root = Annotated[str, Field(min_length=1, examples=["/srv/wxpipe/root", "s3://bucket/root"])]
Archive = Annotated[str, Field(min_length=1, examples=["/srv/archive", "s3://bucket/archive"])]
Satellites = Annotated[tuple[str, ...], Field(examples=[["coms", "gk2a-ea"]])]
Reason = Annotated[str, Field(min_length=1, examples=["the coastline of March was drawn elsewhere"])]
Day = Annotated[date | None, Field(examples=["2011-03-01"])]
Stage = Annotated[str, Field(json_schema_extra={"enum": list(NAMES)})]
Stages = tuple[Stage, ...]
Site = Annotated[str, Field(examples=["/etc/wxpipe/satellites"])]
Scheduler = Annotated[str, Field(pattern=r"^([a-z]+://\S+)?$", examples=["tcp://dask-scheduler:8786"])]
Count = Annotated[int, Field(ge=0)]
Hours = Annotated[float, Field(ge=0)]
Listing = Literal["recent", "all"]
Options = Annotated[dict[str, Any] | None, Field(examples=[{"train_epochs": 20}])]
