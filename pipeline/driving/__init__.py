"""The driver: takes the lease, hands tasks out, takes attempts back, decides every retry."""
