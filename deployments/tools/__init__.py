"""Programs that the tests of the deployments need and Python's package index does not have."""
