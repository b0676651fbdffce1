"""What a user asks for: one typed call per command, and the command line over them."""
