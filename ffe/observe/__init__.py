"""What is seen from outside: secrets masked, health, metrics, checks."""
