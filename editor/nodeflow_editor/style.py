"""The widgets around the canvas in the editor's palette: a style sheet and a palette of Qt's."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

from nodeflow_editor.canvas.pens import font
from nodeflow_editor.theme import BODY, SMALL, Palette

ART = Path(__file__).with_name("art")
"""The few marks that a style sheet takes from files: for each palette in its colours."""
SHEET = """
* {{ outline: none; }}
QMainWindow, QDialog {{ background: {panel}; }}
QMenuBar {{ background: {panel}; color: {text}; padding: 2px 4px; }}
QMenuBar::item {{ padding: 4px 10px; border-radius: 4px; background: transparent; }}
QMenuBar::item:selected {{ background: {raised}; }}
QMenu {{ background: {raised}; color: {text}; border: 1px solid {line}; padding: 5px; }}
QMenu::item {{ padding: 5px 28px 5px 14px; border-radius: 4px; }}
QMenu::item:selected {{ background: {accent}; color: {on_accent}; }}
QMenu::item:disabled {{ color: {dim}; background: transparent; }}
QMenu::separator {{ height: 1px; background: {line}; margin: 5px 8px; }}
QTabWidget::pane {{ border: none; }}
QTabBar {{ background: {panel}; qproperty-drawBase: 0; }}
QTabBar::close-button {{ image: url("{art}/close-{name}.svg"); border-radius: 4px; margin: 4px; }}
QTabBar::close-button:hover {{ background: {raised}; }}
QTabBar::tab {{ background: {panel}; color: {dim}; padding: 7px 14px; border: none;
    border-right: 1px solid {line}; }}
QTabBar::tab:selected {{ background: {canvas}; color: {text}; border-top: 2px solid {accent}; }}
QTabBar::tab:hover {{ color: {text}; }}
QDockWidget {{ color: {dim}; font-size: {small}px; titlebar-close-icon: url("{art}/close-{name}.svg");
    titlebar-normal-icon: url("{art}/float-{name}.svg"); }}
QDockWidget::close-button, QDockWidget::float-button {{ background: transparent; border: none; border-radius: 4px;
    icon-size: 14px; }}
QDockWidget::close-button:hover, QDockWidget::float-button:hover {{ background: {raised}; }}
QDockWidget::title {{ background: {panel}; padding: 7px 10px; border-bottom: 1px solid {line}; }}
QDockWidget > QWidget {{ background: {panel}; }}
QMainWindow::separator {{ background: {line}; width: 1px; height: 1px; }}
QScrollArea, QScrollArea > QWidget > QWidget {{ background: {panel}; border: none; }}
QTreeView, QListView, QTableView, QTextEdit, QPlainTextEdit {{ background: {field}; color: {text};
    border: 1px solid {line}; border-radius: 4px; selection-background-color: {accent};
    selection-color: {on_accent}; }}
QTreeView::item, QListView::item {{ padding: 3px 2px; }}
QHeaderView::section {{ background: {panel}; color: {dim}; border: none; border-bottom: 1px solid {line};
    padding: 4px 6px; }}
QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox, QAbstractSpinBox {{ background: {field}; color: {text};
    border: 1px solid {line}; border-radius: 4px; padding: 4px 6px; selection-background-color: {accent};
    selection-color: {on_accent}; placeholder-text-color: {dim}; }}
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus, QComboBox:focus, QAbstractSpinBox:focus,
QTreeView:focus, QListView:focus {{ border: 1px solid {accent}; }}
QLineEdit[invalid="true"] {{ border: 1px solid {bad}; }}
QComboBox::drop-down {{ border: none; width: 18px; }}
QComboBox::down-arrow {{ image: url("{art}/down-{name}.svg"); width: 14px; height: 14px; }}
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {{ border: none; width: 16px; background: transparent; }}
QAbstractSpinBox::up-arrow {{ image: url("{art}/up-{name}.svg"); width: 12px; height: 12px; }}
QAbstractSpinBox::down-arrow {{ image: url("{art}/down-{name}.svg"); width: 12px; height: 12px; }}
QPlainTextEdit[invalid="true"] {{ border: 1px solid {bad}; }}
QComboBox QAbstractItemView {{ background: {raised}; color: {text}; border: 1px solid {line};
    selection-background-color: {accent}; selection-color: {on_accent}; }}
QPushButton, QToolButton {{ background: {raised}; color: {text}; border: 1px solid {line}; border-radius: 4px;
    padding: 5px 12px; }}
QPushButton:hover, QToolButton:hover {{ border-color: {accent}; }}
QPushButton:focus, QToolButton:focus {{ border-color: {accent}; }}
QPushButton:default {{ background: {accent}; color: {on_accent}; border-color: {accent}; }}
QToolButton:checked {{ background: {accent}; color: {on_accent}; border-color: {accent}; }}
QPushButton:disabled, QToolButton:disabled {{ color: {dim}; }}
QToolBar QToolButton, QStatusBar QToolButton {{ background: transparent; border: 1px solid transparent; }}
QToolBar QToolButton:hover, QStatusBar QToolButton:hover {{ background: {raised}; }}
QToolBar QToolButton:focus {{ border-color: {accent}; }}
QToolButton::menu-indicator {{ image: none; }}
QFileDialog QToolButton {{ padding: 2px; }}
QToolButton[small="true"] {{ padding: 3px 7px; }}
QPushButton[leads="true"] {{ text-align: left; padding: 3px 8px; }}
QLabel[fault="true"] {{ color: {bad}; }}
QToolBar {{ background: {panel}; border: none; border-bottom: 1px solid {line}; spacing: 4px; padding: 3px; }}
QToolTip {{ background: {raised}; color: {text}; border: 1px solid {line}; padding: 5px; }}
QStatusBar {{ background: {panel}; color: {dim}; border-top: 1px solid {line}; }}
QStatusBar::item {{ border: none; }}
QProgressBar {{ background: {field}; color: {text}; border: 1px solid {line}; border-radius: 4px;
    text-align: center; }}
QProgressBar::chunk {{ background: {accent}; border-radius: 3px; }}
QScrollBar:vertical {{ background: transparent; width: 11px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 11px; margin: 0; }}
QScrollBar::handle {{ background: {line}; border-radius: 4px; min-height: 28px; min-width: 28px; margin: 2px; }}
QScrollBar::handle:hover {{ background: {dim}; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: none; }}
QLabel {{ color: {text}; background: transparent; }}
QLabel[dim="true"] {{ color: {dim}; }}
QLabel[cap="true"] {{ background: {raised}; border: 1px solid {line}; border-bottom-width: 2px; border-radius: 4px;
    padding: 1px 6px; font-size: {small}px; }}
Strip {{ border-radius: 0; border-left: none; border-right: none; border-bottom: none; }}
Strip::item {{ border: 2px solid transparent; border-radius: 5px; padding: 1px; }}
Strip::item:selected {{ border-color: {accent}; background: transparent; }}
GraphView {{ border: 2px solid {canvas}; }}
GraphView[ring="true"] {{ border-color: {accent}; }}
QCheckBox, QRadioButton, QGroupBox {{ color: {text}; }}
QCheckBox, QRadioButton {{ border: 1px solid transparent; border-radius: 4px; padding: 1px 3px; }}
QCheckBox:focus, QRadioButton:focus {{ border-color: {accent}; }}
QCheckBox::indicator {{ width: 14px; height: 14px; border: 1px solid {dim}; border-radius: 3px; background: {field}; }}
QCheckBox::indicator:checked {{ background: {accent}; border-color: {accent};
    image: url("{art}/tick-{name}.svg"); }}
QSplitter::handle {{ background: {line}; }}
QFrame#splash {{ background: {panel}; border: 1px solid {line}; }}
QFrame[bar] {{ background: {raised}; border: none; border-bottom: 1px solid {line}; border-left: 3px solid {accent}; }}
QFrame[bar="warns"] {{ border-left-color: {warning}; }}
QLabel[mark] {{ border: 1px solid {accent}; border-radius: 10px; color: {accent}; font-weight: bold; }}
QLabel[mark="warns"] {{ border-color: {warning}; color: {warning}; }}
"""


def sheet(palette: Palette) -> str:
    """The style sheet."""
    return SHEET.format(small=SMALL + 1, art=ART.as_posix(), name=palette.name, **dict(palette.colours()))


def dress(application: QApplication, palette: Palette) -> None:
    """Gives the whole program a palette, on top of the one style that looks alike everywhere."""
    if not application.styleSheet():  # once: each widget would be dressed twice
        application.setStyle("Fusion")
    application.setFont(font(BODY))
    roles = QPalette.ColorRole
    made = QPalette()
    for role, colour in (
        (roles.Window, palette.panel), (roles.WindowText, palette.text), (roles.Base, palette.field),
        (roles.AlternateBase, palette.panel), (roles.Text, palette.text), (roles.Button, palette.raised),
        (roles.ButtonText, palette.text), (roles.ToolTipBase, palette.raised), (roles.ToolTipText, palette.text),
        (roles.Highlight, palette.accent), (roles.HighlightedText, palette.on_accent), (roles.Link, palette.accent),
        (roles.PlaceholderText, palette.dim), (roles.Mid, palette.line), (roles.Dark, palette.canvas),
    ):  # fmt: skip
        made.setColor(role, QColor(colour))
    for role in (roles.Text, roles.ButtonText, roles.WindowText):
        made.setColor(QPalette.ColorGroup.Disabled, role, QColor(palette.dim))
    application.setPalette(made)
    application.setStyleSheet(sheet(palette))
