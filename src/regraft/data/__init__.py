"""Images and their labels: read, audited, split."""
