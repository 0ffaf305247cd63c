"""The manifests in examples/kubernetes would run: what can be told without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rxalerts.cli.origins import open_source
from rxalerts.cli.run import command
from rxalerts.config import load_config

FOLDER = Path(__file__).parent.parent / "examples/kubernetes"
MANIFESTS = sorted(FOLDER.glob("*.yaml"))
VERSIONS = {"Namespace": "v1", "ConfigMap": "v1", "Secret": "v1", "DaemonSet": "apps/v1"}

every_manifest = pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)


def objects(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a manifest."""
    return [each for each in yaml.safe_load_all(path.read_text()) if each is not None]


def pod(path: Path) -> dict[str, Any]:
    """Return what the manifest's workload says about its pods."""
    (workload,) = [each for each in objects(path) if each["kind"] == "DaemonSet"]
    spec: dict[str, Any] = workload["spec"]["template"]["spec"]
    return spec


def containers(path: Path) -> list[dict[str, Any]]:
    """Return all containers of the pod."""
    spec = pod(path)
    return [*spec.get("initContainers", ()), *spec["containers"]]


def rxalerts_of(path: Path) -> dict[str, Any]:
    """Return the container that is ours."""
    (ours,) = [each for each in containers(path) if each["name"] == "rxalerts"]
    return ours


def arguments(path: Path) -> dict[str, Any]:
    """Return the command line of our container as the command reads it."""
    first, *rest = rxalerts_of(path)["args"]
    assert first == "run"
    return command.make_context("run", list(rest)).params


def test_there_are_both() -> None:
    """There is one manifest for a DaemonSet of our own, and one for a sidecar of Falco."""
    assert [path.name for path in MANIFESTS] == ["daemonset.yaml", "sidecar.yaml"]


@every_manifest
def test_objects_are_complete(path: Path) -> None:
    """Each object has kind, version and name, all are in one namespace, and the selector fits the pods' labels."""
    for each in objects(path):
        assert each["apiVersion"] == VERSIONS[each["kind"]]
        assert each["metadata"]["name"]
        if each["kind"] == "DaemonSet":
            spec = each["spec"]
            assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    namespace = next(each["metadata"]["name"] for each in objects(path) if each["kind"] == "Namespace")
    assert {each["metadata"].get("namespace", namespace) for each in objects(path)} == {namespace}


@every_manifest
def test_what_is_mounted_is_there(path: Path) -> None:
    """Each mount names a volume of the pod, each volume is mounted, and config maps and secrets are in the file."""
    mounted = {mount["name"] for each in containers(path) for mount in each["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod(path)["volumes"]}
    assert mounted == volumes.keys()
    names = {(each["kind"], each["metadata"]["name"]) for each in objects(path)}
    for volume in volumes.values():
        if "configMap" in volume:
            assert ("ConfigMap", volume["configMap"]["name"]) in names
        if "secret" in volume:
            assert ("Secret", volume["secret"]["secretName"]) in names


@every_manifest
def test_the_command_line_and_the_configuration_are_right(path: Path, tmp_path: Path) -> None:
    """`rxalerts` takes its arguments, the file is where it is looked for, and loads without a warning."""
    params = arguments(path)
    open_source(params["origin"])
    (maps,) = [each for each in objects(path) if each["kind"] == "ConfigMap"]
    folder, name = params["path"].rsplit("/", 1)
    assert folder in [mount["mountPath"] for mount in rxalerts_of(path)["volumeMounts"]]
    file = tmp_path / name
    file.write_text(maps["data"][name])
    config = load_config(file, environment={})
    assert not config.warnings
    assert "stdout" in [channel.name for channel in config.channels]
    assert pod(path)["terminationGracePeriodSeconds"] > 2 * config.settings.output_timeout


@every_manifest
def test_what_is_written_and_read_is_mounted(path: Path) -> None:
    """State and spool are on a volume that survives the pod; nothing else of the root file system is written."""
    ours = rxalerts_of(path)
    assert ours["securityContext"]["readOnlyRootFilesystem"] is True
    mounts = {mount["mountPath"]: mount for mount in ours["volumeMounts"]}
    assert not mounts["/var/lib/rxalerts"].get("readOnly")
    (state,) = [volume for volume in pod(path)["volumes"] if volume["name"] == "state"]
    assert "hostPath" in state
    origin = arguments(path)["origin"]
    if origin.startswith("tail:"):
        assert "/var/log/falco" in mounts and "state=/var/lib/rxalerts/" in origin


def test_falco_posts_to_where_the_sidecar_listens() -> None:
    """The url in Falco's part of the sidecar manifest is the address of our source."""
    path = FOLDER / "sidecar.yaml"
    (maps,) = [each for each in objects(path) if each["kind"] == "ConfigMap"]
    falco = yaml.safe_load(maps["data"]["outputs.yaml"])
    assert falco["http_output"]["url"] == arguments(path)["origin"]
    assert rxalerts_of(path)["restartPolicy"] == "Always"
