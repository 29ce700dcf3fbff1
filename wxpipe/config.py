"""Typed settings: what defines the data (saved inside the root) and how this machine runs (file + environment).

`DataSettings` travel with the root and may not be contradicted; `RunSettings` are this process's own and
change no result.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, SerializerFunctionWrapHandler, model_serializer
from pydantic_settings import BaseSettings, SettingsConfigDict

FORMAT = 2
"""Version of the root's format; `wxpipe migrate` leads from one to the next (what changed: `pipeline/migrate.py`)."""


class Strict(BaseModel):
    """Base of every configuration model: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Grown(Strict):
    """A model that has gained fields since roots were first made; those are written only where they are set.

    So what a root of before holds, and every digest and fingerprint of it, stay what they were. The default of such a
    field means "as before the field was", and must never change.
    """

    gained: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_unset_gains(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        unset = {name for name in self.gained if getattr(self, name) == fields[name].default}
        whole: dict[str, Any] = handler(self)
        return {name: value for name, value in whole.items() if name not in unset}


class DataSettings(Grown):
    """What every result in a root depends on."""

    gained: ClassVar[frozenset[str]] = frozenset({"keep_pictures"})

    histograms: tuple[str, ...] = Field(
        default=("24x20-exact",),
        description="Grid CDFs that are kept, `<grid>x<bins>-<layout>`; the first one is the ground truth.",
    )
    clip_choice: Literal["even", "published"] = Field(
        default="even", description="How the frames of a clip are chosen out of its window."
    )
    keep_pictures: bool = Field(
        default=True,
        description="Whether pictures stay once they are counted; else reduced ones and grid CDFs alone do.",
    )


class RunSettings(BaseSettings):
    """How this process runs. Every field can be set as ``WXPIPE_<FIELD>`` in the environment."""

    model_config = SettingsConfigDict(env_prefix="WXPIPE_", frozen=True, extra="ignore")

    root: str = Field(default="./wxpipe-root", description="The root: a folder or an s3:// URL.")
    satellites: str = Field(default="", description="Folder of site satellite TOML files (may be empty).")
    workers: int = Field(default=0, ge=0, description="Local Dask workers; 0 means one a core.")
    workers_least: int | None = Field(
        default=None, ge=0, description="Of an adaptive local cluster: how far it shrinks; by default it does not."
    )
    worker_wait: float = Field(
        default=600.0, gt=0, description="Seconds that a run waits for a Dask worker where there is none."
    )
    worker_memory: str = Field(default="auto", description="Memory limit of a local Dask worker, e.g. 4GiB.")
    pages: str = Field(default="", description="Folder into which flows write the coverage page; none by default.")
    pages_url: str = Field(default="", description="Where a browser finds that folder; file:// by default.")
    window: int = Field(default=4, ge=1, description="Partitions in flight per worker thread.")
    lease_seconds: float = Field(
        default=60.0, gt=0, description="A lease whose heartbeat stands still for so long is taken over."
    )
    retries: int = Field(default=3, ge=0, description="How often a partition that asks to be retried is.")
    s3_retries: int = Field(
        default=10, ge=0, description="How often a request to an object store that failed for the moment is repeated."
    )
    s3_retry_seconds: float = Field(
        default=180.0, gt=0, description="For how long such a request is repeated, with growing pauses."
    )
    s3_timeout_seconds: float = Field(
        default=60.0, gt=0, description="An object store that is silent for so long in a request is asked again."
    )
    poll_seconds: float = Field(
        default=5.0, gt=0, description="How often a run says how far it is, and looks whether it was cancelled."
    )
    checkpoint_seconds: float = Field(default=120.0, gt=0, description="Between two checkpoints of a training.")
    checkpoint_steps: int = Field(
        default=0, ge=0, description="Steps between two checkpoints, where they come first; 0: by seconds alone."
    )
    clip_cache_bytes: int = Field(
        default=1 << 30, ge=0, description="Memory for clips' pictures in training; more of them go to a scratch file."
    )
    sql_memory: int = Field(default=4 << 30, ge=64 << 20, description="Bytes that a query of `wxpipe sql` may take.")
    sql_seconds: float = Field(default=120.0, gt=0, description="Seconds after which a query is ended.")
    sql_rows: int = Field(default=1_000_000, ge=1, description="Rows that the answer of a query may have.")
    log: str = Field(
        default="", description="Where what runs is logged, a line of JSON each: a file, or - for standard error."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="What is logged at the least; debug has the beginning of each partition, too."
    )
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Where Prometheus finds the metrics of a run while it lasts; 0: nowhere."
    )
    metrics_address: str = Field(default="0.0.0.0", description="The address of that port.")
    service_address: str = Field(
        default="127.0.0.1", description="Where `wxpipe serve` listens; beyond this machine it needs a token."
    )
    service_port: int = Field(default=8750, ge=0, le=65535, description="Its port; 0: any that is free.")
    service_token: SecretStr = Field(
        default=SecretStr(""), description="What a client must say to be answered; nothing: anybody is."
    )
    service_token_file: str = Field(default="", description="A file that holds the token instead.")
    service_hosts: str = Field(
        default="", description="Names that clients may call it by, comma separated; localhost and addresses always."
    )
    service_proxies: str = Field(
        default="", description="Proxies whose word of who asks is taken: addresses or networks, comma separated."
    )
    service_threads: int = Field(
        default=0, ge=0, description="Searches and pictures that are worked on at once; 0: one a core, at least two."
    )
    service_queue: int = Field(default=64, ge=1, description="Requests in work or waiting for it; more are sent away.")
    service_connections: int = Field(default=512, ge=1, description="Connections at once.")
    service_client_connections: int = Field(default=64, ge=1, description="Connections at once of one client.")
    service_seconds: float = Field(default=30.0, gt=0, description="Seconds that a request may take.")
    service_slow_seconds: float = Field(
        default=10.0, gt=0, description="Seconds in which a client must have sent a head or a body, or read its answer."
    )
    service_body_bytes: int = Field(default=256 << 10, ge=1 << 10, description="Bytes that a request may bring.")
    service_rate: float = Field(default=50.0, gt=0, description="Requests a second of one client, in the long run.")
    service_burst: int = Field(default=200, ge=1, description="Requests of one client at once, after a pause.")
    service_memory: int = Field(
        default=8 << 30, ge=0, description="Bytes of vectors kept in memory; what does not fit is searched on disk."
    )
    service_follow_seconds: float = Field(
        default=2.0, gt=0, description="Between two looks for another release that was promoted."
    )
    service_survey_seconds: float = Field(
        default=300.0, gt=0, description="How old the numbers of coverage may be before they are counted again."
    )
    service_stop_seconds: float = Field(
        default=25.0, gt=0, description="What is under way when the service is told to stop may take so long."
    )
