"""Providers: what each cloud knows of its own nodes; `table.py` names them all."""
