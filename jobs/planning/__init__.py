"""Before anything is paid for: what is known of GPUs and prices, what fits, what a job will cost."""
