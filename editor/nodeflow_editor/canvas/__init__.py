"""The drawing of a graph, and the gestures on it."""
