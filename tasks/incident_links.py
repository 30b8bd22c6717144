"""Where an incident's run, bars and page are to be seen: addresses of the UI, or of a file where no server shows it."""

from collections.abc import Mapping

from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL

from ffe.cycle.engine import Engine
from tasks import quality_pages


def ui_url() -> str | None:
    """PREFECT_UI_URL, which Prefect itself takes from the API's address where that is of its own server; None without an API."""
    found = PREFECT_UI_URL.value()
    api = PREFECT_API_URL.value()
    return found or (None if api is None else str(api).rstrip("/").removesuffix("/api"))


def links(run_id: str, flow_run_id: str | None, key: str) -> dict[str, str]:
    """Name to address; empty where there is no UI."""
    base = ui_url()
    if base is None:
        return {}
    found = {} if flow_run_id is None else {"the run": f"{base}/runs/flow-run/{flow_run_id}"}
    if flow_run_id is not None and run_id != flow_run_id:
        found["the task run"] = f"{base}/runs/task-run/{run_id}"
    return found | {"all its occurrences": f"{base}/artifacts/key/{key}"}


def quality_page(engine: Engine, batch_id: str | None, report_id: str | None) -> Mapping[str, str]:
    """The page of the bars' quality, where it has been written: a path on the artifacts' server, or the file in the data folder."""
    if batch_id is None:
        return {}
    root = engine.settings.data_dir
    folder = root / quality_pages.FOLDER / batch_id[:2]
    name = f"{batch_id}.{report_id or '*'}.html"
    for path in sorted(folder.glob(name)):
        place = quality_pages.link(path, PREFECT_API_URL.value()) or path.relative_to(root).as_posix()
        return {"quality of its bars": place}
    return {}
