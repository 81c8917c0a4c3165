"""The page: one HTML file that needs neither network nor server."""
