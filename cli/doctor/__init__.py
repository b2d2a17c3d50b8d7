"""What `rmbg doctor` looks at: settings, weights, and timed trials."""
