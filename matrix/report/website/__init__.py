"""The site: the record as static pages, for a disk or any web server."""
