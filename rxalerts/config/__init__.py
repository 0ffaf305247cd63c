"""falco.yaml as typed settings."""
