"""Pages that show a job's images side by side, small and labelled: by prompt, or by the axes of a sweep."""
