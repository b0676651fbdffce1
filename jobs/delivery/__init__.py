"""Images on their way to whoever ordered them: under the names that they chose, with an index of what is what."""
