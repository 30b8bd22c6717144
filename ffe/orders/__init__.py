"""Intent to order: the state machine, client order ids, submission and the lookup of unknown outcomes."""
