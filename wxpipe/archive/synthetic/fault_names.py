"""Faults of names and folders: files misnamed, twice, out of place, of no picture at all, or no files to begin with."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import PurePosixPath

from wxpipe.archive.synthetic.fault_victim import Expected, Fault, Need, UnsuitableError, Victim, png
from wxpipe.archive.truth import Planted
from wxpipe.satellites.names import NO_GRAMMAR, Named, NameReader, Unnamed


def _reads(victim: Victim, path: str) -> Named | Unnamed:
    return NameReader([victim.source.satellite]).read(path)


def _beside(change: Callable[[Victim], str], why: str, expected: Expected, reason: str = "") -> Fault:
    """A further file with the victim's content and another name, that is not read, for a cause that begins so."""

    def plant(victim: Victim) -> str:
        return victim.write(victim.read(), victim.extra(change(victim)))

    def shows(victim: Victim) -> bool:
        try:
            read = _reads(victim, victim.extra(change(victim)))
        except UnsuitableError:
            return False
        return isinstance(read, Unnamed) and read.reason.startswith(why)

    return Fault(plant, expected, reason, "file", shows=shows)


def _timed(spell: Callable[[str], str]) -> Callable[[Victim], str]:
    """The victim's name with its time respelled; only times of digits from the year to the minute can be."""

    def change(victim: Victim) -> str:
        stamp = victim.stamp(victim.time)
        if len(stamp) != 12 or not stamp.isdigit():
            raise UnsuitableError(f"{victim.name} spells no minutes")
        return victim.spelled(time=spell(stamp))

    return change


def _junk(name: str, content: bytes) -> Callable[[Victim], str]:
    return lambda victim: victim.write(content, victim.extra(name))


def _renamed(change: Callable[[Victim], str]) -> Callable[[Victim], str]:
    """The victim under another name in its own folder, that is still read as what it was."""

    def plant(victim: Victim) -> str:
        path = str(PurePosixPath(victim.path).with_name(change(victim)))
        return victim.move(_require_same(victim, path))

    return plant


def _require_same(victim: Victim, path: str) -> str:
    """The path, which must be read as the victim's own is."""
    if _reads(victim, path) != _reads(victim, victim.path) or path == victim.path:
        raise UnsuitableError(f"{path} would not be read as {victim.path}")
    return path


# --- renamed pictures ------------------------------------------------------------------------------------------------


def _to_another_minute(victim: Victim) -> str:
    """Some minutes late, within the same slot: only the title tells."""
    return victim.spelled(time=victim.stamp(victim.time + timedelta(minutes=4)))


def _rename_to_another_minute(victim: Victim) -> str:
    path = str(PurePosixPath(victim.path).with_name(_to_another_minute(victim)))
    if path == victim.path:
        raise UnsuitableError(f"{victim.name} spells no minutes")
    return victim.move(path)


def _off_the_grid(victim: Victim) -> str:
    """Taken, and named, two minutes after its slot's time."""
    late = victim.time + timedelta(minutes=2)
    path = str(PurePosixPath(victim.path).with_name(victim.spelled(time=victim.stamp(late))))
    if path == victim.path:
        raise UnsuitableError(f"{victim.name} spells no minutes")
    rgb = victim.rgb()
    victim.retitle(rgb, late)
    victim.move(path)
    return victim.write(png(rgb), path)


def _rename_to_another_channel(victim: Victim) -> str:
    """The next channel's picture under this one's name."""
    return victim.write(victim.other_channel().read())


def _rename_over_another(victim: Victim) -> str:
    """Named as the next channel's, in a folder beside it: that slot has two files, and one is a liar."""
    other = victim.other_channel()
    return victim.move(f"moved/{other.name}")


def _lost_its_own(victim: Victim, kind: str) -> tuple[Planted, ...]:
    return (victim.says(kind, "missing"),)


def _moved(folder: Callable[[Victim], str]) -> Callable[[Victim], str]:
    """To another folder, whatever that is called: names alone say what a file is."""

    def plant(victim: Victim) -> str:
        return victim.move(_require_same(victim, f"{folder(victim)}/{victim.name}"))

    return plant


# --- several files of one picture ------------------------------------------------------------------------------------


def _same_twice(victim: Victim) -> str:
    return victim.write(victim.read(), f"zz-second-copy/{victim.name}")


def _linked(victim: Victim) -> str:
    path = f"zz-link/{victim.name}"
    (victim.pictures / path).parent.mkdir(parents=True, exist_ok=True)
    (victim.pictures / path).symlink_to((victim.pictures / victim.path).absolute())
    return path


def _larger_sound(victim: Victim) -> str:
    """The same picture, packed worse, in another folder: it is the larger one, and wins."""
    victim.write(png(victim.rgb(), level=0), f"unpacked/{victim.name}")
    return victim.path


def _larger_doubtful(victim: Victim) -> str:
    """A larger file with lost rows: the smaller one, that has none, is taken."""
    grey, top = victim.grey(), victim.source.area.title_rows
    grey[top + 10 : top + 10 + max(4, len(grey) // 20)] = 0
    spoiled = victim.rgb()
    hidden = victim.layer()
    spoiled[top:][~hidden[top:]] = grey[top:][~hidden[top:]][:, None]
    return victim.write(png(spoiled, level=0), f"doubtful/{victim.name}")


def _smaller_other(victim: Victim) -> str:
    """Another sound picture of the same name, that packs better for a few pixels that are white."""
    rgb = victim.rgb()
    rgb[-6:-2, -6:-2] = 255
    data = png(rgb, level=9)
    if len(data) >= len(victim.read()):
        raise UnsuitableError("it would not be the smaller one")
    return victim.write(data, f"other/{victim.name}")


def _larger_damaged(victim: Victim) -> str:
    data = bytearray(png(victim.rgb(), level=0))
    data[len(data) // 2] ^= 0xFF
    return victim.write(bytes(data), f"damaged/{victim.name}")


def _smaller_damaged(victim: Victim) -> str:
    data = victim.read()
    return victim.write(data[: len(data) // 3], f"partial/{victim.name}")


# --- what is no file, or has no name ---------------------------------------------------------------------------------


def _entry(victim: Victim, name: str) -> str:
    path = victim.extra(name)
    (victim.pictures / path).parent.mkdir(parents=True, exist_ok=True)
    return path


def _broken_link(victim: Victim) -> str:
    path = _entry(victim, victim.name)
    (victim.pictures / path).symlink_to("nowhere.png")
    return path


def _link_to_itself(victim: Victim) -> str:
    path = _entry(victim, victim.name)
    (victim.pictures / path).symlink_to(victim.name)
    return path


def _link_to_the_top(victim: Victim) -> str:
    """A folder that leads back to all others."""
    path = _entry(victim, "again")
    (victim.pictures / path).symlink_to(victim.pictures.absolute(), target_is_directory=True)
    return victim.path


def _pipe(victim: Victim) -> str:
    """Whoever reads it waits for ever."""
    path = _entry(victim, victim.name)
    os.mkfifo(victim.pictures / path)
    return path


def _folder_like_a_picture(victim: Victim) -> str:
    return victim.write(b"no picture", victim.extra(f"{victim.name}/readme"))


def _no_utf8(victim: Victim) -> str:
    """A folder named in EUC-KR."""
    folder = os.fsencode(victim.pictures) + b"/" + os.fsencode(victim.extra("")) + b"\xb1\xb8"
    os.makedirs(folder)
    with open(folder + b"/" + os.fsencode(victim.name), "wb") as file:
        file.write(victim.read())
    return victim.extra(f"\\xb1\\xb8/{victim.name}")


_IMPOSSIBLE, _UNLISTED = "impossible name", "cannot be listed"


def _extra(change: Callable[[Victim], str], why: str) -> Fault:
    """A further file whose name says what cannot be."""
    return _beside(change, why, "quarantined", _IMPOSSIBLE)


def _unread(change: Callable[[Victim], str]) -> Fault:
    """A further file that no grammar reads."""
    return _beside(change, NO_GRAMMAR, "unparsed")


_TITLED: frozenset[Need] = frozenset({"title"})
_TWINS: frozenset[Need] = frozenset({"title", "channels"})
_THERMAL: frozenset[Need] = frozenset({"thermal"})

NAMES: dict[str, Fault] = {
    "renamed to another minute": Fault(_rename_to_another_minute, "quarantined", "title disagrees", needs=_TITLED),
    "renamed to another channel": Fault(_rename_to_another_channel, "quarantined", "title disagrees", needs=_TWINS),
    "renamed over another channel": Fault(
        _rename_over_another, "quarantined", "title disagrees", "file", _TWINS, also=_lost_its_own
    ),
    "off the grid": Fault(_off_the_grid, "good"),
    "upper-case ending": Fault(_renamed(lambda v: v.name.replace(".png", ".PNG")), "good"),
    "upper-case name": Fault(_renamed(lambda v: v.name.upper()), "good"),
    "in another day's folder": Fault(
        _moved(lambda v: f"{v.time + timedelta(days=3):%Y%m/%d}"), "good"
    ),
    "in a folder with a line break": Fault(_moved(lambda _: "from\nelsewhere"), "good"),
    "larger copy is damaged": Fault(_larger_damaged, "quarantined", "corrupt", "file"),
    "smaller copy is damaged": Fault(_smaller_damaged, "quarantined", "truncated", "file"),
    "same file twice": Fault(_same_twice, "duplicate", "duplicate", "file"),
    "link to the file": Fault(_linked, "duplicate", "duplicate", "file"),
    "larger sound copy": Fault(_larger_sound, "duplicate", "duplicate", "file"),
    "larger copy is doubtful": Fault(_larger_doubtful, "duplicate", "duplicate", "file", _THERMAL),
    "another picture of the name": Fault(_smaller_other, "duplicate", "duplicate", "file", _THERMAL),
    "unknown channel": _extra(lambda v: v.spelled(channel="ir09"), "unknown channel"),
    "impossible time": _extra(_timed(lambda t: t[:4] + "13320800"), "impossible time"),
    "thirtieth of February": _extra(_timed(lambda t: t[:4] + "0230" + t[8:]), "impossible time"),
    "minute 60": _extra(_timed(lambda t: t[:10] + "60"), "impossible time"),
    "hour 24": _extra(_timed(lambda t: t[:8] + "24" + t[10:]), "impossible time"),
    "time before the life span": _extra(_timed(lambda t: "1970" + t[4:8] + "0000"), "time outside"),
    "time after the life span": _extra(_timed(lambda t: "2999" + t[4:8] + "0000"), "time outside"),
    "unknown area": _beside(lambda v: v.spelled(area="zz"), "area", "unconfigured"),
    "numbered copy": _unread(lambda v: v.name.replace(".png", " (1).png")),
    "unfinished download": _unread(lambda v: f"{v.name}.part"),
    "unfinished upload": _unread(lambda v: f".{v.name}.filepart"),
    "line break in its name": _unread(lambda v: f"{v.name}\n"),
    "Thumbs.db": Fault(_junk("Thumbs.db", b"\xd0\xcf\x11\xe0"), "unparsed", "", "file"),
    ".DS_Store": Fault(_junk(".DS_Store", b"\0\0\0\1Bud1"), "unparsed", "", "file"),
    "checksum file": Fault(_junk("md5sum.txt", b"d41d8cd98f00b204e9800998ecf8427e  *"), "unparsed", "", "file"),
    "folder like a picture": Fault(_folder_like_a_picture, "unparsed", "", "file"),
    "broken link": Fault(_broken_link, "quarantined", _UNLISTED, "file"),
    "link to itself": Fault(_link_to_itself, "quarantined", _UNLISTED, "file"),
    "link to the top": Fault(_link_to_the_top, "good"),
    "pipe": Fault(_pipe, "quarantined", _UNLISTED, "file"),
    "folder that is not UTF-8": Fault(_no_utf8, "quarantined", _IMPOSSIBLE, "file"),
}  # fmt: skip
