"""From the name of a kernel to a guest that answers requests. Knows nothing of experiments."""
