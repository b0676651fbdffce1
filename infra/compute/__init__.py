"""Where workers live: Ray, or threads of this process; `table.py` names them all."""
