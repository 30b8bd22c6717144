"""Thin Prefect tasks: retries, names, logging and artifacts around one call into the engine.

No `timeout_seconds`: in a worker thread Prefect can't interrupt a call, it only renames the state afterwards. The limits that
hold are the total deadlines of every venue call (`ffe.venues.wire`) and of the model adapters.

Every process of ours that runs flows imports this package, so this is where its logs learn to keep secrets, before anything is logged.
"""

from ffe.observe.log_masking import install

install()
