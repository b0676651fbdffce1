"""Trains "shapes", the small demonstration model: coloured shapes on plain backgrounds.

``python -m configs.models.shapes_training.train --out FOLDER`` draws its own pictures,
trains the three networks on a CPU, and writes a diffusers pipeline folder.
"""
