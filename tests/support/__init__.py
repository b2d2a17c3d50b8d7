"""What tests need: loopback providers, fake backends, pictures, stand-ins for programs."""
