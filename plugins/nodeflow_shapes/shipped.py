"""The shipped weights that loaders name until somebody names others; graphs name theirs."""

AUTOENCODER = "shapes:autoencoder"
TEXT, DENOISER = "shapes:text_unet", "shapes:unet"
"""A denoiser, and the text encoder that was trained with it."""
