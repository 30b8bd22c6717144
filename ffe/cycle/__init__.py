"""One trading cycle without an orchestrator: the engine's parts put together, and the steps a flow calls one by one."""
