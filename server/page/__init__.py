"""The page: what is laid out, what happens at a click, and how answers are shown."""
