"""What the container images run besides the product's own commands: the checks of their health."""
