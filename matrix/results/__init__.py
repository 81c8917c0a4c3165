"""What was answered: records, manifests, run directories."""
