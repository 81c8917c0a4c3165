"""What is asked: configuration, catalogue, selection, cells."""
