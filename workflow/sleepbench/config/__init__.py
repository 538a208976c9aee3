"""What is to be run, from config.yaml and the definitions beside the package."""
