"""What `rmbg doctor` looks at."""
