"""What each provider's API says, and nothing else."""
