"""How a language model answers a fixed set of real cases: valid, steady, sensitive to what should not matter, fast, calibrated."""
