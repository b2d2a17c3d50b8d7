"""What a batch makes of each picture: canvas, fit, format, names; read from TOML or a preset."""
