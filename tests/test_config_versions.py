"""The configurations that Falco's versions ship with: each is read as that version read it."""

from pathlib import Path

import pytest

from rxalerts.config import Config, load_config

V0_8 = """\
rules_file:
  - /etc/falco/falco_rules.yaml
  - /etc/falco/falco_rules.local.yaml
  - /etc/falco/rules.d
json_output: false
json_include_output_property: true
log_stderr: true
log_syslog: true
log_level: info
priority: debug
buffered_outputs: true
outputs:
  rate: 1
  max_burst: 1000
syslog_output:
  enabled: true
file_output:
  enabled: false
  keep_alive: false
  filename: ./events.txt
stdout_output:
  enabled: true
program_output:
  enabled: false
  keep_alive: false
  program: mail -s "Falco Notification" someone@example.com
"""

V0_24 = """\
rules_file: [/etc/falco/falco_rules.yaml]
plugins: []
time_format_iso_8601: false
json_output: false
json_include_output_property: true
log_stderr: true
log_syslog: true
log_level: info
priority: debug
buffered_outputs: false
syscall_event_drops:
  actions:
    - log
    - alert
  rate: .03333
  max_burst: 10
outputs:
  rate: 1
  max_burst: 1000
syslog_output: {enabled: true}
file_output:
  enabled: false
  keep_alive: false
  filename: ./events.txt
stdout_output: {enabled: true}
webserver:
  enabled: true
  listen_port: 8765
  k8s_audit_endpoint: /k8s-audit
  ssl_enabled: false
  ssl_certificate: /etc/falco/falco.pem
program_output:
  enabled: false
  keep_alive: false
  program: "jq '{text: .output}' | curl -d @- -X POST https://hooks.slack.com/services/XXX"
http_output:
  enabled: false
  url: http://some.url
grpc:
  enabled: false
  bind_address: "unix:///var/run/falco.sock"
  threadiness: 0
  private_key: "/etc/falco/certs/server.key"
  cert_chain: "/etc/falco/certs/server.crt"
  root_certs: "/etc/falco/certs/ca.crt"
grpc_output:
  enabled: false
"""

V0_36 = """\
rules_file:
  - /etc/falco/falco_rules.yaml
rule_matching: first
outputs_queue:
  capacity: 0
  recovery: exit
load_plugins: []
plugins:
  - name: k8saudit
    library_path: libk8saudit.so
    init_config: ""
    open_params: "http://:9765/k8s-audit"
watch_config_files: true
time_format_iso_8601: false
priority: debug
json_output: false
json_include_output_property: true
json_include_tags_property: true
buffered_outputs: false
outputs: {rate: 0, max_burst: 1000}
stdout_output: {enabled: true}
syslog_output: {enabled: true}
file_output: {enabled: false, keep_alive: false, filename: ./events.txt}
http_output:
  enabled: false
  url: http://some.url
  user_agent: "falcosecurity/falco"
  insecure: false
  ca_cert: ""
  ca_bundle: ""
  ca_path: "/etc/ssl/certs"
  mtls: false
  client_cert: "/etc/ssl/certs/client.crt"
  client_key: "/etc/ssl/certs/client.key"
  echo: false
program_output:
  enabled: false
  keep_alive: false
  program: "jq '{text: .output}' | curl -d @- -X POST https://hooks.slack.com/services/XXX"
grpc_output: {enabled: false}
grpc:
  enabled: false
  bind_address: "unix:///run/falco/falco.sock"
  threadiness: 0
webserver:
  enabled: true
  threadiness: 0
  listen_port: 8765
  k8s_healthz_endpoint: /healthz
  ssl_enabled: false
  ssl_certificate: /etc/falco/falco.pem
log_stderr: true
log_syslog: true
log_level: info
libs_logger: {enabled: false, severity: debug}
output_timeout: 2000
syscall_event_timeouts: {max_consecutives: 1000}
syscall_event_drops: {threshold: .1, actions: [log, alert], rate: .03333, max_burst: 1, simulate_drops: false}
metrics: {enabled: false, interval: 1h, output_rule: true, include_empty_values: false}
base_syscalls: {custom_set: [], repair: false}
modern_bpf: {cpus_for_each_syscall_buffer: 2}
syscall_buf_size_preset: 4
syscall_drop_failed_exit: false
"""

V0_44 = """\
config_files:
  - ./config.d
watch_config_files: true
rules_files:
  - /etc/falco/falco_rules.yaml
  - /etc/falco/rules.d
engine:
  kind: modern_ebpf
  kmod: {buf_size_preset: 4, drop_failed_exit: false}
  ebpf: {probe: "${HOME}/.falco/falco-bpf.o", buf_size_preset: 4}
capture: {enabled: false, path_prefix: /tmp/falco, mode: rules, default_duration: 5000}
load_plugins: []
plugins:
  - name: container
    library_path: libcontainer.so
    init_config: {label_max_len: 100, with_size: false}
plugins_hostinfo: true
time_format_iso_8601: false
buffer_format_base64: false
priority: debug
json_output: false
json_include_output_property: true
json_include_message_property: false
json_include_output_fields_property: true
json_include_tags_property: true
buffered_outputs: false
rule_matching: first
outputs_queue:
  capacity: 0
append_output:
  - suggested_output: true
static_fields: {}
stdout_output:
  enabled: true
syslog_output:
  enabled: true
file_output:
  enabled: false
  keep_alive: false
  filename: ./events.txt
http_output:
  enabled: false
  url: ""
  user_agent: "falcosecurity/falco"
  insecure: false
  ca_cert: ""
  ca_bundle: ""
  ca_path: "/etc/ssl/certs"
  mtls: false
  client_cert: "/etc/ssl/certs/client.crt"
  client_key: "/etc/ssl/certs/client.key"
  echo: false
  compress_uploads: false
  keep_alive: false
  max_consecutive_timeouts: 5
program_output:
  enabled: false
  keep_alive: false
  program: "jq '{text: .output}' | curl -d @- -X POST https://hooks.slack.com/services/XXX"
webserver:
  enabled: true
  threadiness: 0
  listen_port: 8765
  listen_address: 0.0.0.0
  k8s_healthz_endpoint: /healthz
  prometheus_metrics_enabled: false
  ssl_enabled: false
  ssl_certificate: /etc/falco/falco.pem
log_stderr: true
log_syslog: true
log_level: info
libs_logger: {enabled: true, severity: info}
output_timeout: 2000
syscall_event_timeouts: {max_consecutives: 1000}
syscall_event_drops: {threshold: .1, actions: [log, alert], rate: .03333, max_burst: 1, simulate_drops: false}
metrics: {enabled: false, interval: 1h, output_rule: true, output_file: "", rules_counters_enabled: true}
base_syscalls: {custom_set: [], repair: false}
falco_libs: {thread_table_size: 262144, thread_table_auto_purging_interval_s: 300}
container_engines: {docker: {enabled: true}, cri: {enabled: true, sockets: ["/run/containerd/containerd.sock"]}}
"""

RECOVERY = (
    "falco.yaml:6:13: warning: outputs_queue.recovery (Falco 0.36.0) is ignored: "
    "each channel's on_full says what a full mailbox does"
)
HTTP = {"user_agent": "falcosecurity/falco", "ca_cert": "", "ca_path": "/etc/ssl/certs", "mtls": False}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


def load(text: str, *overrides: str) -> Config:
    """Return what a falco.yaml with this text means."""
    Path("falco.yaml").write_text(text)
    return load_config("falco.yaml", overrides, environment={})


@pytest.mark.parametrize(
    ("text", "buffered", "rate", "warnings"),
    [(V0_8, True, 1, []), (V0_24, False, 1, []), (V0_36, False, 0, [RECOVERY]), (V0_44, False, 0, [])],
    ids=["0.8", "0.24", "0.36.0", "0.44"],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_what_falco_ships_is_read(text: str, newline: str, buffered: bool, rate: int, warnings: list[str]) -> None:
    """Standard output and syslog are on, buffered and limited as that version was, and no key is unknown."""
    config = load(text.replace("\n", newline))
    assert [channel.name for channel in config.channels] == ["stdout", "syslog"]
    assert config.settings.buffered_outputs is buffered
    assert (config.settings.rate, config.settings.max_burst) == (rate, 1000)
    assert [str(each) for each in config.warnings] == warnings


@pytest.mark.parametrize("text", [V0_8, V0_24, V0_36, V0_44], ids=["0.8", "0.24", "0.36.0", "0.44"])
def test_every_channel_that_it_describes_can_be_switched_on(text: str) -> None:
    """With -o, as people do; what stands in the file beside the switch is then in force."""
    sections = [name for name in ("file", "program", "http", "grpc") if f"\n{name}_output:" in text]
    switches = [f"{name}_output.enabled=true" for name in sections]
    if "grpc" in sections:
        switches.append("grpc.enabled=true")
    config = load(text, "http_output.url=http://localhost:1/" if "http" in sections else "priority=debug", *switches)
    channels = {channel.name: channel for channel in config.channels}
    assert channels.keys() == {"stdout", "syslog", *sections}
    assert channels["file"].options["filename"] == "./events.txt"
    if "client_key" in text:
        assert HTTP.items() <= channels["http"].options.items()
