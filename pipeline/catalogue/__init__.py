"""What is known before anything was rendered: GPUs, models, what they take, what others claim; data and look-ups."""
