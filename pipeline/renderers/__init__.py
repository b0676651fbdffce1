"""Renderers: what turns requests into pictures; `table.py` names them all."""
