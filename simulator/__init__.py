"""A loopback server that speaks OANDA v20, Coinbase Advanced and Alpha Vantage, so that the real SDKs run unchanged."""
