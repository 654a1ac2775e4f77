"""The installed plugins: what each brings, why one is broken, which are switched off. Nothing of them is imported."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QSplitter,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from nodeflow.catalog import OFF, OTHERS, OWN, Catalog, Plugin, left_out, open_catalog
from nodeflow_editor.aside import Aside
from nodeflow_editor.problems import Problems
from nodeflow_editor.run_part import RunPart
from nodeflow_editor.settings import Settings
from nodeflow_editor.soon import soon

if TYPE_CHECKING:
    from nodeflow_editor.window import Window


def leave_out(settings: Settings, *, safe: bool = False) -> None:
    """Switches plugins off for this process and its workers: those that settings name, all of others if `safe`."""
    names = dict.fromkeys((*left_out(), *map(str, settings.get("plugins_off", []))))
    if safe:
        names[OTHERS] = None
    os.environ[OFF] = ",".join(names)


class PluginsDock(QObject):
    """The dock. Plugins are looked for beside the window's thread: to import them anew takes seconds."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window, self._part = window, RunPart.of(window)
        self._aside = Aside("plugins", self)
        self._all: Catalog = window.catalog
        self._asked = self._stale = False
        self.list = QTreeWidget()
        self.list.setHeaderLabels(["Plugin", "Version", "Distribution", "Nodes"])
        self.list.setRootIsDecorated(False)
        self.list.setAccessibleName("Plugins")
        self.details = QPlainTextEdit(readOnly=True)
        self.details.setAccessibleName("Details of the plugin")
        self.refresh_button = QPushButton("Look for plugins again")
        self.safe = QCheckBox("Only nodeflow's own plugins")
        self.safe.setToolTip("The same as `nodeflow edit --safe`. Nodes of other plugins stand as absent, and are kept")
        body = QWidget()
        box, row = QVBoxLayout(body), QHBoxLayout()
        box.setContentsMargins(8, 6, 8, 8)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(self.list)
        split.addWidget(self.details)
        split.setSizes([560, 500])
        row.addWidget(self.refresh_button)
        row.addStretch(1)
        row.addWidget(self.safe)
        box.addWidget(split, 1)
        box.addLayout(row)
        body.setFocusProxy(self.list)
        self.dock = window.add_dock("plugins", "Plugins", body, Qt.DockWidgetArea.BottomDockWidgetArea)
        self.refresh_button.clicked.connect(self.refresh)
        self.safe.toggled.connect(self._take_safe)
        self.list.itemChanged.connect(self._toggled)
        self.list.currentItemChanged.connect(lambda *_: self._detail())
        self.dock.visibilityChanged.connect(self._seen)
        self._part.runner.queue_changed.connect(self._renew)
        window.closing.connect(self._aside.close)
        window.look_changed.connect(lambda _: self.fill())

    # --- looking for them

    def _seen(self, visible: bool) -> None:
        if visible and not self._asked:
            self._asked = True
            self.fill()
            self._look(refresh=False)

    def refresh(self) -> None:
        """Imports all plugins again, in processes of their own, and gives open graphs what was found."""
        self._look(refresh=True)

    def _look(self, *, refresh: bool) -> None:
        self.refresh_button.setEnabled(False)
        self.refresh_button.setText("Looking…")

        def look() -> Catalog:
            importlib.invalidate_caches()
            return open_catalog(refresh=refresh, off=())

        self._aside.call(look, lambda found: self._found(found, refresh=refresh), self._failed)

    def _ready(self) -> None:
        self.refresh_button.setEnabled(True)
        self.refresh_button.setText("Look for plugins again")

    def _failed(self, error: Exception) -> None:
        self._ready()
        self._window.tell(f"plugins could not be looked for: {error}")

    def _found(self, found: Catalog, *, refresh: bool) -> None:
        self._ready()
        before, self._all = self._all, found
        if refresh or before.plugins != found.plugins:
            self._use()
        self.fill()
        if refresh:
            broken = sum(bool(plugin.error) for plugin in found.plugins)
            self._window.tell(f"{len(found.plugins)} plugins" + (f", {broken} of them broken" if broken else ""))

    def _use(self) -> None:
        """Gives the window and its graphs the node types that are switched on; the worker follows when it is idle."""
        catalog = self._all.without(left_out())
        self._window.catalog = catalog
        for page in self._window.pages():
            page.model.take_catalog(catalog)
        Problems.of_window(self._window).recheck()
        self._window.actions_table.refresh()
        self._stale = True
        self._renew()

    def _renew(self) -> None:
        if self._stale and not self._part.runner.queue.entries():
            self._stale = False
            self._part.runner.restart()

    # --- switching them

    def _take(self, names: set[str]) -> None:
        os.environ[OFF] = ",".join(sorted(names))
        self._window.settings.set("plugins_off", sorted(names))
        self._use()
        soon(self, self.fill)  # not at once: Qt still holds the item that was switched, which is made anew

    def _take_safe(self, on: bool) -> None:
        names = set(left_out())
        if on != (OTHERS in names):
            self._take(names | {OTHERS} if on else names - {OTHERS})

    def _toggled(self, item: QTreeWidgetItem) -> None:
        name, names = item.text(0), set(left_out())
        on = item.checkState(0) is Qt.CheckState.Checked
        if on == (name in names) and OTHERS not in names:
            self._take(names - {name} if on else names | {name})

    # --- showing them

    def fill(self) -> None:
        """Shows what was found."""
        names = set(left_out())
        item = self.list.currentItem()
        chosen = item.text(0) if item is not None else ""
        self.list.blockSignals(True)
        self.list.clear()
        for plugin in self._all.plugins:
            self.list.addTopLevelItem(self._item(plugin, names))
        for column in range(3):
            self.list.resizeColumnToContents(column)
        self.list.blockSignals(False)
        self.safe.blockSignals(True)
        self.safe.setChecked(OTHERS in names)
        self.safe.blockSignals(False)
        broken = sum(bool(plugin.error) for plugin in self._all.plugins)
        self.dock.setWindowTitle(f"Plugins ({broken} broken)" if broken else "Plugins")
        rows = [plugin.name for plugin in self._all.plugins]
        front = self.list.topLevelItem(rows.index(chosen) if chosen in rows else 0)
        if front is not None:
            self.list.setCurrentItem(front)
        self._detail()

    def _item(self, plugin: Plugin, names: set[str]) -> QTreeWidgetItem:
        own = plugin.distribution == OWN
        off = plugin.name in names or (OTHERS in names and not own)
        state = "✕ broken" if plugin.error else "off" if off else f"{len(plugin.nodes):,}"
        item = QTreeWidgetItem([plugin.name, plugin.version, plugin.distribution, state])
        if plugin.error:
            item.setForeground(3, QColor(self._window.look.bad))
        if not own and not plugin.taken:
            item.setCheckState(0, Qt.CheckState.Unchecked if off else Qt.CheckState.Checked)
            if OTHERS in names:
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsUserCheckable)
        return item

    def _detail(self) -> None:
        item = self.list.currentItem()
        at = self.list.indexOfTopLevelItem(item) if item is not None else -1
        if not 0 <= at < len(self._all.plugins):
            self.details.setPlainText("")
            return
        plugin = self._all.plugins[at]
        parts = [f"{plugin.name} — {plugin.module}", plugin.error, plugin.trace, "\n".join(plugin.nodes)]
        self.details.setPlainText("\n\n".join(part for part in parts if part))


def attach(window: Window) -> PluginsDock:
    """Gives a window the list of plugins."""
    return PluginsDock(window)
