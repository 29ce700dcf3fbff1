"""The published files of triples come in as they are, with what is wrong with them said, and go out again."""

from __future__ import annotations

from pathlib import Path

import pytest

from wxpipe.errors import RefusedError, UsageError
from wxpipe.similarity.pairs import read_triples
from wxpipe.similarity.published_pairs import export_triples, import_triples
from wxpipe.store.root import Root, init_root

GOOD = "19\t25\t119\t0.782454\t0.451704\n"


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return init_root(str(tmp_path / "root"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    for number, split in enumerate(("train", "valid", "test")):
        (tmp_path / "files" / f"{split}.txt").write_text(GOOD + f"{number}\t7\t558\t0.742552\t0.42419\n")
    return tmp_path / "files"


def test_real_published_files_come_in_and_go_out_alike(real_archive: Path, root: Root, tmp_path: Path) -> None:
    tables = real_archive / "seed_tables"
    taken = import_triples(root, "published-2013", tables)
    assert taken.triples == {"train": 113, "valid": 113, "test": 341}
    assert taken.clips == 567
    assert taken.warnings == (
        "train.txt and valid.txt hold the same triples: what is learned from one is no test by the other",
    )
    assert export_triples(root, "published-2013", tmp_path / "out") == taken.triples
    for name in ("train.txt", "valid.txt", "test.txt"):
        assert _values(tmp_path / "out" / name) == _values(tables / name)


def _values(file: Path) -> list[tuple[object, ...]]:
    rows = [line.split("\t") for line in file.read_text().splitlines()]
    return [(*row[:3], *map(float, row[3:])) for row in rows]


def test_clip_numbers_stay_names(root: Root, folder: Path) -> None:
    assert import_triples(root, "mine", folder).warnings == ()
    row = read_triples(root, "mine").to_pylist()[0]
    assert row == {"x": "19", "y": "25", "z": "119", "sim_xy": 0.782454, "sim_xz": 0.451704, "split": "train"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("19\t25\t0.78\t0.45\n", "line 3: expected clip, clip, clip, similarity, similarity"),
        ("19 25 119 0.78 0.45\n", "line 3: expected clip, clip, clip"),
        ("19\t25\t119\t0.78\thigh\n", "found '19\\t25\\t119\\t0.78\\thigh'"),
        ("19\t25\t119\t1.78\t0.4\n", "expected similarities of 0 to 1, found 1.78 and 0.4"),
        ("19\t25\t119\tnan\t0.4\n", "expected similarities of 0 to 1"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_taken(root: Root, folder: Path, line: str, words: str) -> None:
    file = folder / "valid.txt"
    file.write_text(file.read_text() + line)
    with pytest.raises(UsageError, match=r"valid\.txt, line 3") as told:
        import_triples(root, "mine", folder)
    assert words in str(told.value)
    assert root.objects.names("pairs") == []


def test_what_is_frozen_or_missing_is_refused(root: Root, folder: Path) -> None:
    import_triples(root, "mine", folder)
    with pytest.raises(RefusedError, match="frozen"):
        import_triples(root, "mine", folder)
    with pytest.raises(UsageError, match="small letters"):
        import_triples(root, "../mine", folder)
    (folder / "test.txt").unlink()
    with pytest.raises(UsageError, match=r"test\.txt: cannot be read"):
        import_triples(root, "other", folder)
