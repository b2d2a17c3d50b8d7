"""What this machine and its user have set: environment, settings file, keys, folders, devices."""
