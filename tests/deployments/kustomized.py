"""What `kubectl kustomize` makes of a folder, for as much of kustomize as these folders use: a machine without kubectl checks them too.

Resources and components, image tags, replica counts, and JSON patches of add and replace. Whatever else a kustomization says is refused.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

KNOWN = {"apiVersion", "kind", "namespace", "resources", "components", "images", "replicas", "patches"}


def rendered(folder: Path) -> list[dict[str, Any]]:
    """Every object, as kustomize would send it. Raises AssertionError for what is not understood here."""
    return list(_applied(folder, []))


def _applied(folder: Path, objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    said = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(said) <= KNOWN, set(said) - KNOWN
    objects = [*objects, *(each for name in said.get("resources", ()) for each in _objects(folder / name))]
    for name in said.get("components", ()):
        objects = _applied((folder / name).resolve(), objects)
    for image in said.get("images", ()):
        _tag(objects, image["name"], image["newTag"])
    for change in said.get("replicas", ()):
        matching = [
            each for each in objects if each["kind"] in {"Deployment", "StatefulSet"} and _name(each) == change["name"]
        ]
        assert matching, f"{folder.name}: no {change['name']} to count"
        for each in matching:
            each["spec"]["replicas"] = change["count"]
    for patch in said.get("patches", ()):
        target = patch["target"]
        matching = [each for each in objects if each["kind"] == target["kind"] and _name(each) == target["name"]]
        assert matching, f"{folder.name}: no {target} to patch"
        for each in matching:
            for operation in yaml.safe_load(patch["patch"]):
                _patch(each, operation)
    return objects


def _objects(path: Path) -> Iterable[dict[str, Any]]:
    if path.is_dir():
        return rendered(path.resolve())
    return [each for each in yaml.safe_load_all(path.read_text()) if each is not None]


def _name(each: dict[str, Any]) -> str:
    return str(each["metadata"]["name"])


def containers(each: Any) -> Iterator[dict[str, Any]]:
    """Every container in an object, init containers too."""
    if isinstance(each, dict):
        for key, value in each.items():
            if key in {"containers", "initContainers"}:
                yield from value
            else:
                yield from containers(value)
    elif isinstance(each, list):
        for value in each:
            yield from containers(value)


def _tag(objects: list[dict[str, Any]], name: str, tag: str) -> None:
    for container in containers(objects):
        if container["image"].split(":")[0] == name:
            container["image"] = f"{name}:{tag}"


def _patch(each: dict[str, Any], operation: dict[str, Any]) -> None:
    assert operation["op"] in {"add", "replace"}, operation
    *way, last = operation["path"].strip("/").split("/")
    place: Any = each
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    key = int(last) if isinstance(place, list) else last
    assert operation["op"] == "add" or isinstance(key, int) or key in place, operation
    place[key] = operation["value"]
