"""The pictures that runs delivered, kept across sessions: their files, their looks, the graph of each. No Qt."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nodeflow_editor.settings import state_folder, write_whole

MOST = 500
"""Pictures that are remembered."""
PICTURES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"))
SEARCHED = 50_000
"""Characters of a graph that are searched."""
LATEST = 4e9
"""Seconds since 1970: what is later was never written by a clock."""
SMALL = 256
"""Pixels of the longest side of a thumbnail."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What an output of a run came to: its files, and `graph`, by which `History.graph_of` knows the text."""

    id: str
    title: str
    output: str
    paths: tuple[str, ...]
    time: float
    graph: str

    @property
    def path(self) -> Path | None:
        """The first of its files that is still there."""
        return next((path for path in map(Path, self.paths) if _is_file(path)), None)

    @property
    def there(self) -> list[Path]:
        """All of its files that are still there."""
        return [path for path in map(Path, self.paths) if _is_file(path)]


class History:
    """Pictures, newest first; all methods may be called from any thread. Those that only look never wait.

    Damaged entries are passed over, and where nothing can be written it remembers for this session.

    Args:
        folder: where it is; the user's own folder for state if None.
        thumbnail: draws a picture small: the bytes of an image file, or None if it cannot.
        most: how many pictures are kept.
    """

    def __init__(
        self, folder: Path | None = None, *, thumbnail: Callable[[Path, int], bytes | None] | None = None,
        most: int = MOST,
    ) -> None:  # fmt: skip
        self._folder = folder if folder is not None else state_folder() / "history"
        self._draw, self._most = thumbnail, most
        self._lock = threading.RLock()
        self._graphs: dict[str, str] = {}  # those that could not be written
        self._texts: dict[str, str] = {}  # as they are searched
        self._pictures = {picture.id: picture for picture in self._read()}
        self._trim()

    def pictures(self) -> tuple[Picture, ...]:
        """All, newest first; the files of some may be gone."""
        return tuple(sorted(self._pictures.copy().values(), key=lambda picture: picture.id, reverse=True))

    def add(self, title: str, output: str, paths: Iterable[str], graph: str) -> Picture | None:
        """Remembers what a run delivered; None if none of the files is a picture.

        The same files again are the same picture again, which is then the newest.
        """
        kept = tuple(path for path in paths if Path(path).suffix.lower() in PICTURES)
        if not kept:
            return None
        digest = hashlib.blake2b(graph.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        with self._lock:
            # several editors write here; the number of the process keeps two of one moment apart
            picture = Picture(f"{time.time_ns():020}-{os.getpid()}", title, output, kept, time.time(), digest)
            before = [known for known in self._pictures.values() if known.paths == kept]
            self._pictures[picture.id] = picture
            try:
                if not self._graph_path(digest).exists():
                    write_whole(self._graph_path(digest), graph)
                write_whole(self._folder / f"{picture.id}.json", json.dumps(asdict(picture)))
            except (OSError, UnicodeEncodeError):
                self._graphs[digest] = graph
            self.remove(before)
            self._trim()
        small = self._draw(Path(kept[0]), SMALL) if self._draw is not None else None
        if small is not None:
            with contextlib.suppress(OSError):
                (self._folder / f"{picture.id}.image").write_bytes(small)
        return picture

    def thumbnail(self, picture: Picture) -> bytes | None:
        """The picture drawn small, as the bytes of an image file, even if the picture is gone."""
        with contextlib.suppress(OSError):
            return (self._folder / f"{picture.id}.image").read_bytes()
        return None

    def graph_of(self, picture: Picture) -> str | None:
        """The text of the graph that made a picture, even if the picture is gone."""
        with contextlib.suppress(OSError, ValueError):
            return self._graph_path(picture.graph).read_text("utf-8")
        return self._graphs.get(picture.graph)

    def found(self, text: str) -> frozenset[str]:
        """The ids of the pictures that have all these words in title, output, file names, or the text of the graph.

        The graphs are read once: the first search may take a tenth of a second, the following ones do not.
        """
        words = text.lower().split()
        return frozenset(picture.id for picture in self.pictures() if self._has(picture, words))

    def _has(self, picture: Picture, words: Sequence[str]) -> bool:
        names = " ".join((picture.title, picture.output, *(Path(path).name for path in picture.paths))).lower()
        rest = [word for word in words if word not in names]
        if not rest:
            return True
        text = self._texts.get(picture.graph)
        if text is None:
            text = self.graph_of(picture) or ""
            with contextlib.suppress(ValueError, RecursionError):
                text = json.dumps(json.loads(text), ensure_ascii=False)  # a file has other letters than ASCII as codes
            text = self._texts[picture.graph] = text.lower()[:SEARCHED]
        return all(word in text for word in rest)

    def remove(self, pictures: Sequence[Picture]) -> None:
        """Forgets these; their files stay."""
        with self._lock:
            for picture in pictures:
                self._pictures.pop(picture.id, None)
                for kind in ("json", "image"):
                    with contextlib.suppress(OSError):
                        (self._folder / f"{picture.id}.{kind}").unlink(missing_ok=True)
            spare = {picture.graph for picture in pictures} - {picture.graph for picture in self._pictures.values()}
            for digest in spare - self._used_by_others() if spare else ():
                self._graphs.pop(digest, None)
                self._texts.pop(digest, None)
                with contextlib.suppress(OSError):
                    self._graph_path(digest).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forgets all; the files stay."""
        self.remove(self.pictures())

    def _graph_path(self, digest: str) -> Path:
        return self._folder / "graphs" / f"{digest}.json"

    def _trim(self) -> None:
        self.remove(self.pictures()[self._most :])

    def _used_by_others(self) -> set[str]:
        """The graphs of pictures that other editors have remembered since this one began."""
        return {picture.graph for picture in self._read(without=self._pictures)}

    def _read(self, without: Container[str] = ()) -> Iterable[Picture]:
        for path in self._folder.glob("*.json"):
            if path.stem in without:
                continue
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
                data = json.loads(path.read_text("utf-8"))
                picture = Picture(**{**data, "id": path.stem, "paths": tuple(map(str, data["paths"]))})
                texts = (picture.title, picture.output, picture.graph)
                if not all(isinstance(text, str) for text in texts) or not picture.graph.isalnum():
                    continue
                if isinstance(data["paths"], list) and 0 <= picture.time < LATEST:
                    yield picture


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
