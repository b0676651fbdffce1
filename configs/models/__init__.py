"""A folder per model profile that ships, and how the demo model was trained."""
