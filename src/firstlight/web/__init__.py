"""What everything of ours that answers over HTTP shares: where it listens, its connections, who may ask."""
