"""What the mouse does on the canvas, in a table: the sheet of keys shows it beside the actions. No Qt."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gesture:
    """One thing that is done with the mouse, or with a key that the canvas itself takes.

    keys: those that no action may have, as they would no longer reach the canvas.
    """

    group: str
    how: str
    what: str
    keys: tuple[str, ...] = ()


LOOK, NODES, WIRES, VALUES, FRAMES, FILES = "Looking", "Nodes", "Wires", "Values", "Frames", "Files"
NOTES, PALETTE = "Notes", "Choosing by typing"
VIEWER, LISTS = "Viewer", "Outline and graph"

GESTURES = (
    Gesture(LOOK, "Wheel", "Zoom around the mouse"),
    Gesture(LOOK, "Shift+wheel", "Pan sideways"),
    Gesture(LOOK, "Middle button, drag", "Pan"),
    Gesture(LOOK, "Space held, drag", "Pan", ("Space",)),
    Gesture(LOOK, "Drag on the map", "Move over the graph"),
    Gesture(LOOK, "Double-click a node's picture", "Open it in the viewer"),
    Gesture(LOOK, "Click one of several pictures", "Have the viewer show it"),
    Gesture(NODES, "Double-click on the canvas", "Add a node there"),
    Gesture(NODES, "Click", "Choose a node, and no other"),
    Gesture(NODES, "Shift+click", "Choose it as well, or no longer"),
    Gesture(NODES, "Drag over the canvas", "Choose what the box touches; with Shift as well"),
    Gesture(NODES, "Drag a node", "Move what is chosen; with Alt off the grid"),
    Gesture(NODES, "Drop a node on a wire", "Put it into the wire"),
    Gesture(NODES, "Right button", "The menu of what is there"),
    Gesture(NODES, "Double-click on a subgraph", "Enter it"),
    Gesture(NODES, "Esc while dragging", "Let everything be as it was", ("Esc",)),
    Gesture(WIRES, "Drag from a port to a port", "Wire; what does not fit is dimmed, and why is told"),
    Gesture(WIRES, "Drop a wire on a node", "Take the port that fits"),
    Gesture(WIRES, "Drop a wire on a taken input", "Replace what was there"),
    Gesture(WIRES, "Drop a wire on the canvas", "Offer the nodes that fit, and wire the one taken"),
    Gesture(WIRES, "Drag from a wired input", "Lift the wire: to another input, or off"),
    Gesture(WIRES, "X held, drag", "Cut the wires that the line crosses", ("X",)),
    Gesture(WIRES, "Ctrl+click on a wire", "Make a dot, which bends it; on a dot: remove it"),
    Gesture(WIRES, "Drag a dot", "Bend the wire; with Alt off the grid"),
    Gesture(WIRES, "Click the name of a portal", "Go to its other end"),
    Gesture(WIRES, "Right button on a wire", "Make it a portal or a line, go to its ends, cut it"),
    Gesture(WIRES, "Right button on a port", "Expose it as a parameter or an output; make its wires portals"),
    Gesture(VALUES, "Click a value", "Type another, choose one, or switch it"),
    Gesture(VALUES, "Enter", "Type the first value of the chosen node", ("Return", "Enter")),
    Gesture(VALUES, "Ctrl+Enter while typing", "Take it, and run the graph"),
    Gesture(VALUES, "Tab while typing", "Go to the next value, with Shift to the one before"),
    Gesture(VALUES, "+1, *2, 64*8", "Reckon with the number that stands there, or anew"),
    Gesture(VALUES, "Ctrl+Up, Ctrl+Down in a prompt", "Weigh the chosen words, or that at the cursor, more or less"),
    Gesture(VALUES, "Drag along a number", "Change it; with Shift finely, with Ctrl in large steps"),
    Gesture(VALUES, "Click the mark beside a value", "Roll a seed, choose a file, a model or a colour"),
    Gesture(VALUES, "Right button on a value", "Reset it, and more of its menu"),
    Gesture(VALUES, "Drop a wire on a value", "Make it an input"),
    Gesture(FRAMES, "Drag the title", "Move the frame with what lies in it; with Alt alone"),
    Gesture(FRAMES, "Drag the lower right corner", "Resize it"),
    Gesture(FRAMES, "Double-click the title", "Type another"),
    Gesture(
        NOTES, "Double-click a note, Enter", "Type what it says; Ctrl+Enter or a click elsewhere takes it, Esc does not"
    ),
    Gesture(
        NOTES, "Drag a note", "Move it with what is chosen; by its lower right corner: resize it; with Alt off the grid"
    ),
    Gesture(NOTES, "Ctrl+click on an address", "Open it in the browser"),
    Gesture(FILES, "Drop a graph, or a picture that carries one", "Open it in a tab"),
    Gesture(FILES, "Drop another picture, or one of the viewer", "Add a node that loads it"),
    Gesture(PALETTE, "Enter, Shift+Enter on an own piece", "Put in its nodes; one node that stands for them"),
    Gesture(PALETTE, "Right button, Menu on an own piece", "Rename it, remove it, open its file"),
    Gesture(VIEWER, "Wheel, + and -", "Zoom around the mouse, or around the middle"),
    Gesture(VIEWER, "Drag, arrow keys", "Move the picture of which a part is in sight; one of several with Shift"),
    Gesture(VIEWER, "Drag where all is in sight, or with Ctrl", "Take it to the canvas, or as a file elsewhere"),
    Gesture(VIEWER, "Drag from the strip or the history", "Take a picture to the canvas, or as a file elsewhere"),
    Gesture(VIEWER, "Left, Right", "Of several pictures the one before, the next"),
    Gesture(VIEWER, "Space", "Several pictures side by side, or one of them; a click leads into one"),
    Gesture(VIEWER, "Double-click", "Show all of it, or one pixel on one of the screen"),
    Gesture(VIEWER, "F, Home", "Show all of it; one pixel on one of the screen"),
    Gesture(VIEWER, "C, R, G, B, A, L", "Colours, one channel, alpha, luma"),
    Gesture(VIEWER, "P", "Pin the picture as B, or let B go"),
    Gesture(VIEWER, "Tab, 1, 2", "Turn between A and B"),
    Gesture(VIEWER, "W", "A left of a divider, B right of it; drag it, or Ctrl+Left and Ctrl+Right"),
    Gesture(VIEWER, "D", "How far A and B are apart"),
    Gesture(VIEWER, "PgUp, PgDown", "The picture before, the next"),
    Gesture(VIEWER, "Ctrl+C, S", "Copy the picture, save it"),
    Gesture(LISTS, "Enter in the outline", "Go to the node, to where a wire comes from, or edit the value"),
    Gesture(LISTS, "Ctrl+Up, Ctrl+Down, Del", "Move or remove a parameter or an output of the graph"),
)


def reserved() -> dict[str, str]:
    """Keys that the canvas takes itself, each with what it does by it."""
    return {key: gesture.what for gesture in GESTURES for key in gesture.keys}
