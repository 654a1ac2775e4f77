"""The desktop editor: builds, runs and saves the graph files that the command line runs."""
