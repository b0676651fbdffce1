"""Those who tell people what happens to a job; `table.py` names them."""
