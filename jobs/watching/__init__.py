"""How jobs stand: status, lists, logs, and the lines on a terminal while one runs."""
