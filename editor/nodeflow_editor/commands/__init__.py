"""What can be done in the editor, area by area: each file has a table of actions."""
