"""One night: what is new and a sample of the rest, compared with the accepted answers."""
