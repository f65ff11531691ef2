"""The page for people, as files."""
