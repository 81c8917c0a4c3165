"""The catalogue: one module per topic, one function per experiment."""
