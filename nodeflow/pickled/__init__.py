"""Pickled checkpoints read without unpickling: their tensors as places in the file, everything else inert."""
