"""The `train` flow for real: on a server of its own, with what it logs and the artifacts that it leaves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

from tests.embedding.conftest import Mapping
from tests.mini import SOURCE, environment
from wxpipe.archive.png import png_size_mode
from wxpipe.embedding.curves import read_history
from wxpipe.embedding.train_stage import current_model
from wxpipe.pipeline.backfill import Job, Report
from wxpipe.store.root import Root

QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_LEVEL": "INFO",
         "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120"}  # fmt: skip
FLOW = """
import json, sys
from flows.train import train
from prefect.client.orchestration import get_client

options = {"train_epochs": 3, "train_learning_rate": 5e-4}
ended = train(sys.argv[1], workers=1, options=options, keep_pairs=True, embed=True)
with get_client(sync_client=True) as client:
    found = {key: client._client.get(f"/artifacts/{key}/latest").json()["data"] for key in sys.argv[2:]}
print(json.dumps({"ended": ended, "artifacts": found}))
"""
KEY = "wxpipe-training-mini-t"


def test_the_flow_leaves_the_model_its_losses_and_its_curve(week: tuple[Job, Report, Mapping], tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(week[0].root, root)
    ended = subprocess.run(
        [sys.executable, "-c", FLOW, str(root), KEY, f"{KEY}-epochs", "wxpipe-report"],
        env=environment(**QUIET, PREFECT_HOME=str(tmp_path / "prefect")),
        capture_output=True, text=True, check=False, timeout=300, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    opened = Root(str(root))
    model = current_model(opened, SOURCE)
    assert model != current_model(Root(week[0].root), SOURCE)
    assert told["ended"].items() >= {"models": {SOURCE: model}, "quarantined": 0, "differences": 0}.items()
    history = read_history(opened, model)
    rows = json.loads(told["artifacts"][f"{KEY}-epochs"])
    assert [row["validation"] for row in rows] == [round(record.validation_loss, 6) for record in history.records]
    text = told["artifacts"][KEY]
    assert text.startswith(f"## {SOURCE}: `{model}`")
    assert f"| validation loss, best | {history.best.validation_loss:.5f} |" in text
    picture = text.partition("![losses by epoch](data:image/png;base64,")[2].partition(")")[0]
    assert png_size_mode(b64decode(picture), "inline").rows == 540
    for record in history.records:
        assert f"train {SOURCE}: {record}" in ended.stderr, "each epoch is logged"
    assert opened.ledger.entries("embed").keys() == Root(week[0].root).ledger.entries("embed").keys()
    assert opened.objects.names(f"vectors/{model}") == [SOURCE], "embedded, as it was asked for"
