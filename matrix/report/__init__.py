"""Reports: the same run for a terminal, a browser, a pull request and CI."""
