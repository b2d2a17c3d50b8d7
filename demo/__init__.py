"""Pictures with a known truth: for `rmbg demo`, the tests and the benchmark."""
