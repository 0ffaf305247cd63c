"""Name who takes part in the example logs: the pods of a small cluster and the Falco rules that watch them.

Rule names, priorities, tags and output fields are those of Falco's public rule set. Addresses come from the
documentation ranges (RFC 5737) and from cluster-private ones; registries end in ``example`` (RFC 2606).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

NS = 1_000_000_000
"""Nanoseconds in a second: every time in here is UTC epoch nanoseconds."""

Value = str | int | bool | None

WHO = (
    "evt_type=%evt.type user=%user.name user_uid=%user.uid user_loginuid=%user.loginuid process=%proc.name "
    "proc_exepath=%proc.exepath parent=%proc.pname command=%proc.cmdline terminal=%proc.tty "
    "exe_flags=%evt.arg.flags"
)
WHERE = (
    "container_id=%container.id container_image=%container.image.repository "
    "container_image_tag=%container.image.tag container_name=%container.name k8s_ns=%k8s.ns.name "
    "k8s_pod_name=%k8s.pod.name"
)
# The older nodes run older rules: fewer fields, and container.info as the option -pk expanded it then.
WHO_OLD = "user=%user.name user_loginuid=%user.loginuid process=%proc.name parent=%proc.pname command=%proc.cmdline"
WHERE_OLD = (
    "image=%container.image.repository:%container.image.tag "
    "k8s.ns=%k8s.ns.name k8s.pod=%k8s.pod.name container=%container.id"
)
NET = "connection=%fd.name lport=%fd.lport rport=%fd.rport fd_type=%fd.type fd_proto=%fd.l4proto"
KIN = "gparent=%proc.aname[2] ggparent=%proc.aname[3]"


@dataclass(frozen=True)
class Rule:
    """A Falco rule: what its alerts are called, how grave they are, and how their text reads."""

    name: str
    priority: str
    says: str
    tags: tuple[str, ...]
    head: str = ""

    def template(self, *, old: bool = False) -> str:
        """Give the rule's output with its ``%field`` places, as its old or its present edition wrote it."""
        parts = (self.head, WHO_OLD, WHERE_OLD) if old else (self.head, WHO, WHERE)
        return f"{self.says} ({' '.join(part for part in parts if part)})"


@dataclass(frozen=True)
class Pod:
    """A pod with one container, and the node that it runs on."""

    node: str
    namespace: str
    name: str
    container: str
    image: str
    tag: str
    started: int = 1_748_700_000 * NS

    @property
    def container_id(self) -> str:
        """Give the container's short id, made from the pod's name so that every run agrees."""
        return hashlib.sha256(f"{self.name}/{self.container}/{self.tag}".encode()).hexdigest()[:12]

    @property
    def address(self) -> str:
        """Give the pod's cluster-private address."""
        digest = hashlib.sha256(self.name.encode()).digest()
        return f"10.244.{self.node[-1]}.{10 + digest[0] % 200}"

    def pid(self, program: str) -> int:
        """Give the process id of a program that lives as long as the pod."""
        return 2000 + int.from_bytes(hashlib.sha256(f"{self.name}:{program}".encode()).digest()[:2], "big")


def _rule(name: str, priority: str, says: str, tags: str, head: str = "") -> Rule:
    return Rule(name, priority, says, tuple(sorted(tags.split())), head)


# fmt: off
API_SERVER = _rule(
    "Contact K8S API Server From Container", "Notice",
    "Unexpected connection to K8s API Server from container",
    "maturity_stable container network k8s mitre_discovery T1565", NET)
UNTRUSTED_SHELL = _rule(
    "Run shell untrusted", "Debug", "Shell spawned by untrusted binary",
    "maturity_stable host container process shell mitre_execution T1059.004", "pcmdline=%proc.pcmdline")
TERMINAL = _rule(
    "Terminal shell in container", "Notice", "A shell was spawned in a container with an attached terminal",
    "maturity_stable container shell mitre_execution T1059")
REDIRECT = _rule(
    "Redirect STDOUT/STDIN to Network Connection in Container", "Notice",
    "Redirect stdout/stdin to network connection",
    "maturity_stable container network process mitre_execution T1059", f"fd.sip=%fd.sip {NET}")
OUTBOUND = _rule(
    "Unexpected outbound connection destination", "Notice", "Disallowed outbound connection destination",
    "maturity_sandbox host container network mitre_command_and_control TA0011", NET)
PACKAGES = _rule(
    "Launch Package Management Process in Container", "Error",
    "Package management process launched in container",
    "maturity_incubating container process software_mgmt mitre_persistence T1505")
FETCH = _rule(
    "Launch Ingress Remote File Copy Tools in Container", "Notice",
    "Ingress remote file copy tool launched in container",
    "maturity_incubating container network process mitre_command_and_control TA0011")
COPY_OUT = _rule(
    "Launch Remote File Copy Tools in Container", "Notice", "Remote file copy tool launched in container",
    "maturity_incubating container network process mitre_exfiltration T1020")
NETWORK_TOOL = _rule(
    "Launch Suspicious Network Tool in Container", "Notice", "Network tool launched in container",
    "maturity_incubating container network process mitre_execution T1059")
CLIENT = _rule(
    "The docker client is executed in a container", "Warning",
    "Docker or kubernetes client executed in container",
    "maturity_sandbox container mitre_execution T1610")
SENSITIVE = _rule(
    "Read sensitive file untrusted", "Warning", "Sensitive file opened for reading by non-trusted program",
    "maturity_stable host container filesystem mitre_credential_access T1555", f"file=%fd.name {KIN}")
ENVIRON = _rule(
    "Read environment variable from /proc files", "Warning",
    "Environment variables were retrieved from /proc files",
    "maturity_incubating container filesystem process mitre_discovery T1083", f"file=%fd.name {KIN}")
KEYS = _rule(
    "Search Private Keys or Passwords", "Warning", "Grep private keys or passwords activities found",
    "maturity_incubating host container process filesystem mitre_credential_access T1552.001")
METADATA = _rule(
    "Contact cloud metadata service from container", "Notice",
    "Outbound connection to cloud instance metadata service",
    "maturity_incubating network container mitre_discovery T1565", NET)
DROPPED = _rule(
    "Drop and execute new binary in container", "Critical", "Executing binary not part of base image",
    "maturity_stable container process mitre_persistence TA0003 PCI_DSS_11.5.1",
    "proc_exe=%proc.exe proc_sname=%proc.sname gparent=%proc.aname[2] "
    "proc_exe_ino_ctime=%proc.exe_ino.ctime proc_cwd=%proc.cwd container_start_ts=%container.start_ts")
C2 = _rule(
    "Outbound Connection to C2 Servers", "Warning", "Outbound connection to C2 server",
    "maturity_sandbox host container network mitre_command_and_control TA0011",
    f"c2_domain=%fd.sip.name c2_addr=%fd.sip {NET}")
CLEAR_LOG = _rule(
    "Clear Log Activities", "Warning", "Log files were tampered",
    "maturity_stable host container filesystem mitre_defense_evasion T1070 NIST_800-53_AU-10",
    "file=%fd.name")
HISTORY = _rule(
    "Delete or rename shell history", "Warning", "Shell history deleted or renamed",
    "maturity_incubating host container process filesystem mitre_defense_evasion T1070",
    "file=%fd.name path=%evt.arg.path")
SHRED = _rule(
    "Remove Bulk Data from Disk", "Warning", "Bulk data has been removed from disk",
    "maturity_stable host container process filesystem mitre_impact T1485", "file=%fd.name")
WRITE_ETC = _rule(
    "Write below etc", "Error", "File below /etc opened for writing",
    "maturity_sandbox host container filesystem mitre_persistence T1098",
    f"file=%fd.name pcmdline=%proc.pcmdline {KIN}")
BELOW_DEV = _rule(
    "Create files below dev", "Error", "File created below /dev by untrusted program",
    "maturity_incubating host container filesystem mitre_persistence T1543", "file=%fd.name")
CRON = _rule(
    "Schedule Cron Jobs", "Notice", "Cron jobs were scheduled to run",
    "maturity_incubating host container filesystem mitre_execution T1053.003", "file=%fd.name")
AS_ROOT = _rule(
    "Container Run as Root User", "Informational", "Container launched with root user privilege",
    "maturity_sandbox container process users mitre_execution T1610")
MOUNT = _rule(
    "Launch Sensitive Mount Container", "Informational", "Container with sensitive mount started",
    "maturity_sandbox container cis mitre_execution T1610", "mounts=%container.mounts")

REGISTRY = "registry.example"
AGENTS = (
    Pod("node-1", "monitoring", "metrics-agent-7c9f6d5b84-x2lqv", "metrics-agent",
        f"{REGISTRY}/monitoring/metrics-agent", "0.9.4"),
    Pod("node-2", "monitoring", "metrics-agent-7c9f6d5b84-8hwtn", "metrics-agent",
        f"{REGISTRY}/monitoring/metrics-agent", "0.9.4"),
)
SERVICES = (
    Pod("node-1", "shop", "cart-6d4cf56db6-p9k2m", "cart", f"{REGISTRY}/shop/cart", "1.14.0"),
    Pod("node-1", "shop", "thumbnailer-5f7b9c6d8-tq4zr", "thumbnailer",
        f"{REGISTRY}/shop/thumbnailer", "1.8.2"),
    Pod("node-2", "shop", "search-84b6c7f9d5-jv6ns", "search", f"{REGISTRY}/shop/search", "3.2.7"),
    Pod("node-2", "billing", "ledger-79d8f5c4b7-w5xhd", "ledger", f"{REGISTRY}/billing/ledger", "2.0.3"),
    Pod("node-3", "mail", "postbox-66bd9f7c5-l8g4c", "postbox", f"{REGISTRY}/mail/postbox", "0.31.1"),
)
THUMBNAILER = SERVICES[1]
# fmt: on
TOOLBOX = Pod("node-1", "ops", "toolbox-0", "toolbox", f"{REGISTRY}/ops/toolbox", "2025.22")
BACKUPS = tuple(
    Pod(f"node-{n}", "backup", f"backup-agent-{tail}", "backup-agent", f"{REGISTRY}/ops/backup-agent", "4.1.0")
    for n, tail in ((1, "4wz7k"), (2, "m2xqp"), (3, "v9thc"))
)
LEGACY = Pod("node-3", "legacy", "intranet-0", "intranet", f"{REGISTRY}/legacy/intranet", "7")


def storefronts(tag: str, started: int) -> tuple[Pod, ...]:
    """Give the twelve pods of the storefront at one version, four on each node."""
    stem = hashlib.sha256(f"storefront {tag}".encode()).hexdigest()[:10]
    tails = (hashlib.sha256(f"{stem}{n}".encode()).hexdigest()[:5] for n in range(12))
    return tuple(
        Pod(f"node-{1 + n % 3}", "shop", f"storefront-{stem}-{tail}", "storefront",
            f"{REGISTRY}/shop/storefront", tag, started + n * 35 * NS)
        for n, tail in enumerate(tails)
    )  # fmt: skip
