"""What a new root is made with is said once, kept, and not contradicted."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import CommandLine
from tests.mini import make_archive
from wxpipe.store.root import Root


def test_a_new_root_keeps_the_grids_and_clips_that_were_asked_for(cli: CommandLine, tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "archive", slots=30)
    at = ("--direct", *archive.options, "--root", tmp_path / "root")
    grids = ("--histograms", "8x10-exact", "--histograms", "24x20-reference")
    assert cli("backfill", *at, *grids, "--clips", "published").code == 0
    root = Root(str(tmp_path / "root"))
    assert root.settings.histograms == ("8x10-exact", "24x20-reference")
    assert root.settings.clip_choice == "published"
    assert set(root.objects.names("histograms/mini-t.zarr")) == {"8x10-exact", "24x20-reference"}
    assert cli("backfill", *at).code == 0, "what is there needs not be said again"
    clip = "mini-t/20200301T0000Z/6h20"
    other = "mini-t/20200301T0015Z/6h20"
    kept = cli("similarity", clip, other, "--root", tmp_path / "root", "--layout", "reference", "--json")
    assert (kept.code, kept.document["layout"], kept.document["frames"]) == (0, "reference", 20)


def test_a_root_is_not_contradicted(cli: CommandLine, tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "archive", slots=2)
    at = ("--direct", *archive.options, "--root", tmp_path / "root", "--stage", "ingest")
    assert cli("backfill", *at).code == 0
    said = cli("backfill", *at, "--histograms", "8x10-exact")
    assert said.code == 1
    assert "histograms: asked for ('8x10-exact',), the root has ('24x20-exact',)" in said.words
    wrong = cli("backfill", *at, "--histograms", "eight")
    assert wrong.code == 2
    assert "24x20-exact" in wrong.words
