"""What `rmbg doctor` looks at: settings, weights, timed trials, and the claims that they settle."""
