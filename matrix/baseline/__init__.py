"""The accepted answers, and what differs from them."""
