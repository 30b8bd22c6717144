"""Where bars come from: Coinbase, OANDA and the Parquet store."""
