"""A query out of folders ``image_<i>/<channel>.png``, as the published program reads them: no times are known."""

from __future__ import annotations

from datetime import UTC, datetime

from wxpipe.archive.choice import UNREADABLE
from wxpipe.archive.decode import require_sane_size
from wxpipe.archive.fresh import FreshPicture
from wxpipe.archive.picture import PictureReader
from wxpipe.errors import NotFoundError, Quarantine
from wxpipe.similarity.folders import numbered_folders, without_title
from wxpipe.store.frames import frame_store
from wxpipe.store.quarantine import Record
from wxpipe.vectors.answers import Query
from wxpipe.vectors.fresh_choice import Chosen, Folder
from wxpipe.vectors.fresh_pictures import Checked

ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)


def numbered_pictures(asked: Folder) -> Chosen:
    """As many complete frames as a clip has, in the order of their numbers; or the last complete frame.

    Raises:
        NotFoundError: there are fewer or more of them; what was not taken, and why.
    """
    folders = numbered_folders(asked.path)
    reader = _Reader(asked)
    pictures = [[reader.read(f"{folder.name}/{channel}.png") for channel in reader.channels] for folder in folders]
    needed = [n for n, must in enumerate(asked.source.satellite.required) if must]
    complete = [n for n, row in enumerate(pictures) if all(row[channel] is not None for channel in needed)]
    sound = sum(picture is not None for row in pictures for picture in row)
    checked = Checked(str(asked.path), sound, tuple(reader.records))
    wanted = 1 if asked.unit == "frame" else asked.rule.frames
    chosen = complete[-1:] if asked.unit == "frame" else complete
    if len(chosen) != wanted:
        or_frame = "" if asked.unit == "frame" else "; or ask for the last one by --unit frame"
        raise NotFoundError(
            f"{asked.path}: {len(complete)} of its {len(folders)} folders image_<i> are complete ({asked.required}),"
            f" and a {asked.unit} without times is exactly {wanted} of them{or_frame}{checked.refusals()}"
        )
    captions = tuple(folders[n].name for n in chosen)
    return Chosen([pictures[n] for n in chosen], Query(asked.unit), captions, checked)


class _Reader:
    """Reads pictures one by one: what only a name's time can check, and copies, which nothing forbids, are not looked
    at."""

    def __init__(self, asked: Folder) -> None:
        frames = frame_store(asked.root, asked.source)
        self.channels, self.records = frames.channels, list[Record]()
        self._asked = asked
        self._reader = PictureReader(without_title(asked.source), frames.layers())

    def read(self, path: str) -> FreshPicture | None:
        """A picture, unless it is missing, or unusable, which is recorded."""
        channel = path.rpartition("/")[2].removesuffix(".png")
        try:
            data = self._bytes(path)
            if data is None:
                return None
            rgb = self._reader.decode(data, path)
            made = self._reader.check(rgb, path, channel, ANY_TIME)
        except Quarantine as fault:
            self.records.append(Record(path, fault.reason, fault.expected, fault.found, channel=channel))
            return None
        said = [Record(path, d.reason, d.expected, d.found, "suspect", channel) for d in made.doubts]
        self.records.extend(said)
        return FreshPicture.of(made, rgb, self._asked.count)

    def _bytes(self, path: str) -> bytes | None:
        file = self._asked.path / path
        try:
            require_sane_size(file.stat().st_size, path, self._asked.source.area)
            return file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Quarantine(path, UNREADABLE, "a file that can be read", str(error.strerror)) from error
