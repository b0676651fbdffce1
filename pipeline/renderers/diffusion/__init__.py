"""Text-to-image pipelines of diffusers, from a folder, a single file or the Hugging Face hub.

What a submit needs (`kind`, `resolving`, `families`, `schedulers`, ...) reads JSON only; torch and diffusers are
imported by what a worker needs (`loading`, `renderer`, `decoding`, ...).
"""
