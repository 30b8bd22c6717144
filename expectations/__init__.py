"""Great Expectations over bars: custom expectation classes and suite factories."""
