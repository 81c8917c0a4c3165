"""What differs between kernels, and which upstream commit explains it."""
