"""What a batch reads: folders, patterns, manifests."""
