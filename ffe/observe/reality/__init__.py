"""The reality check: what has to be true of ledger, venues and deployment at any time, looked at instead of believed."""
