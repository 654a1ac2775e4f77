"""Layers that the built-in plugins share. Imports torch, safetensors and nothing else; no nodes."""
