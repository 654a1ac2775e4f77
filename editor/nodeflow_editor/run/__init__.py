"""Runs: the worker process and its thread, the queue that survives a crash, and what came of runs before."""
