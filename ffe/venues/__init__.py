"""Brokers behind one protocol, and what each venue can and can't do."""
