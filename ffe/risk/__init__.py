"""Position sizing and limits. Everything here can only shrink or deny a trade, and says by how much."""
