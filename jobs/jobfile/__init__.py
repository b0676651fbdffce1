"""The job file: what a user may write, how it is read, and every error with its line."""
