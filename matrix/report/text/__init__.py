"""Reports as text: for a terminal, Markdown, and plans."""
