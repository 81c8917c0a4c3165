"""The accepted answers, and what deviates from them."""
