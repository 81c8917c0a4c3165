"""From the name of a kernel to a guest that answers. Knows nothing of experiments."""
