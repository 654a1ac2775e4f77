"""Checkpoints as others write them, and pickles as nobody should."""

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from nodeflow.pickled.archives import opened
from nodeflow.pickled.choosing import Chosen, chosen

sys.path.append(str(Path(__file__).parent.parent / "plugins_for_tests"))
ARCHIVE = "archive/"


@pytest.fixture
def taken() -> Callable[..., Chosen]:
    """What would be converted of a file."""

    def read(path: Path, key: str = "") -> Chosen:
        with opened(path) as archive:
            return chosen(path, archive.root, key)

    return read


@pytest.fixture
def zipped(tmp_path: Path) -> Callable[..., Path]:
    """Writes an archive as torch does, with any pickle and any records in it."""

    def write(pickle: bytes, records: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED) -> Path:
        path = tmp_path / "made.pt"
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr(f"{ARCHIVE}data.pkl", pickle)
            for name, data in (records or {}).items():
                archive.writestr(ARCHIVE + name, data)
        return path

    return write
