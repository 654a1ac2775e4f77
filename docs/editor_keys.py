"""Writes docs/editor-keys.md from the editor's table of actions and gestures: `make docs`."""

import os
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # names of keys are Qt's, and Qt wants a screen

from nodeflow_editor.keys import Keys, markdown, sheet
from nodeflow_editor.window import ACTIONS

PAGE = Path(__file__).with_name("editor-keys.md")
HEAD = """# Keys and gestures of the editor

The editor shows this page by F1, with the keys that you have set. **Help > Keys…** sets others. On macOS Ctrl is
the Command key. Keys without Ctrl and Alt mean the canvas while it has the focus, and elsewhere what they always mean.
Written by `python docs/editor_keys.py`.

"""


def page() -> str:
    """The page as it should be."""
    return HEAD + markdown(sheet(Keys(ACTIONS, {}, lambda _: None)))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.stdout.write(f"{PAGE.name}\n")
