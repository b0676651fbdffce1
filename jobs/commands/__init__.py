"""The command line: each file parses the options of a few commands, calls, and prints."""
