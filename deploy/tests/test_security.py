"""The restricted profile of Kubernetes' Pod Security Standards, rule by rule, and a root file system nobody writes to."""

from __future__ import annotations

from .charts import LEAST, Charts, Object, identity, merged, of_kind, pods

# "Volume types" of the restricted profile.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def _violations(spec: Object) -> list[str]:
    found = [flag for flag in ("hostNetwork", "hostPID", "hostIPC") if spec.get(flag)]
    pod = spec.get("securityContext", {})
    if pod.get("runAsNonRoot") is not True or not pod.get("runAsUser"):
        found.append("may run as root")
    if pod.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        found.append("no seccomp profile")
    found += [f"volume {one}" for one in spec.get("volumes", ()) if not set(one) - {"name"} <= VOLUMES]
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False:
            found.append("may gain privileges")
        if own.get("capabilities") != {"drop": ["ALL"]}:
            found.append("keeps capabilities")
        if own.get("readOnlyRootFilesystem") is not True:
            found.append("writes to its image")
        if own.get("privileged") or any("hostPort" in port for port in container.get("ports", ())):
            found.append("is privileged or takes a port of the host")
        resources = container.get("resources", {})
        if not {"cpu", "memory"} <= set(resources.get("requests", {})) or "memory" not in resources.get("limits", {}):
            found.append("asks for nothing or has no bound")
    if spec.get("automountServiceAccountToken") is not False:
        found.append("carries a token of the cluster")
    return found


def test_every_pod_is_restricted(charts: Charts) -> None:
    seen = 0
    for where, rendered in charts.everything:
        for made, spec in pods(rendered):
            assert not _violations(spec), f"{where}: {identity(made)}"
            seen += 1
    assert seen > 100


def test_no_rights_in_the_cluster(charts: Charts) -> None:
    for where, rendered in charts.everything:
        assert not of_kind(rendered, "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"), where


def test_no_secret_is_made_of_values(charts: Charts) -> None:
    for where, rendered in charts.everything:
        assert not of_kind(rendered, "Secret"), where


def test_a_digest_goes_before_a_tag(charts: Charts) -> None:
    digest = f"sha256:{'a' * 64}"
    image = {"image": {"registry": "registry.example.com", "tag": "1.2.3", "digest": digest}}
    for _, spec in pods(charts.render("targets", merged(LEAST, image))):
        assert spec["containers"][0]["image"] == f"registry.example.com/closedloop-targets@{digest}"
