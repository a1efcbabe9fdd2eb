//! Tests of the command line with the real program: its output and its exit status.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const COURSE: &str = r#"{
  "trackers":  { "httpd_check": { "script": { "command": ["/usr/local/httpd.sh"], "interval": 2 } } },
  "instances": { "VI_1": { "state": "master", "interface": "eth1", "virtualRouterId": 51, "priority": 100,
                           "version": 2, "advertInterval": 1,
                           "authentication": { "pass": { "password": "1111" } },
                           "track": ["httpd_check"],
                           "virtualAddresses": ["192.168.224.100/24"] } }
}"#;

/// The instance of the course, with mail, which has no equivalent.
const KEEPALIVED: &str = "\
vrrp_instance VI_1 {
    state MASTER
    interface eth1
    virtual_router_id 51
    priority 100
    advert_int 1
    smtp_alert
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    virtual_ipaddress {
        192.168.224.100/24
    }
}
";

/// A configuration with ten different mistakes.
const TEN_MISTAKES: &str = r#"{
  "trackers": { "httpd_check": { "script": { "command": ["httpd.sh"], "intervall": 2 } } },
  "instances": {
    "VI_1": { "interface": "eth1", "virtualRouterId": 256, "priority": 0, "version": 3,
              "authentication": { "pass": { "password": "1111" } },
              "track": ["httpd_chek"],
              "virtualAddresses": ["192.168.224.100/33"] },
    "VI_2": { "interface": "eth1", "virtualRouterId": 52, "version": 2, "advertInterval": 1.5,
              "authentication": { "pass": { "password": "123456789" } },
              "virtualAddresses": ["192.168.198.100/24"] },
    "VI_3": { "interface": "eth1", "virtualRouterId": 52, "virtualAddresses": ["192.168.198.101/24"] }
  }
}"#;

#[test]
fn check_names_the_file_as_run_does() {
    let file = File::with("named.json", COURSE);
    for option in ["-c", "--config"] {
        let output = vrrpd(&["check", option, file.name()]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    let output = vrrpd(&["check", "-c", file.name(), file.name()]);
    assert_eq!(output.status.code(), Some(2), "two files: {output:?}");
}

#[test]
fn standing_command_requires_a_valid_time_and_priority() {
    for (arguments, problem) in [
        (
            &["drain", "--for", "10"][..],
            "must be a whole number with a unit",
        ),
        (
            &["drain", "--for", "0s"],
            "must be a whole number with a unit",
        ),
        (&["priority", "VI_1", "255"], "255 is not in 1..=254"),
        (&["step-down"], "required arguments were not provided"),
        (&["step-down", "VI_1", "--all"], "cannot be used with"),
        (&["drain", "--reason", "a\nb"], "no control characters"),
    ] {
        let output = vrrpd(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = text(&output.stderr);
        assert!(said.contains(problem), "{arguments:?}: {said}");
    }
}

#[test]
fn check_accepts_valid_configuration() {
    let file = File::with("right.json", COURSE);
    let output = vrrpd(&["check", file.name()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        text(&output.stdout),
        format!("{}: valid, 1 instance and 1 tracker\n", file.name())
    );
}

#[test]
fn check_reports_all_mistakes_with_exit_status_2() {
    let file = File::with("wrong.json", TEN_MISTAKES);
    let output = vrrpd(&["check", file.name()]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let complaint = text(&output.stderr).replace(file.name(), "FILE");
    insta::assert_snapshot!("ten_mistakes", complaint);
}

#[test]
fn convert_prints_configuration_that_check_accepts() {
    let file = File::with("keepalived.conf", KEEPALIVED);
    let output = vrrpd(&["convert", file.name()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report = text(&output.stderr).replace(file.name(), "FILE");
    insta::assert_snapshot!("converted", report);
    let converted = File::with("converted.json", text(&output.stdout));
    let output = vrrpd(&["check", converted.name()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let output = vrrpd(&["convert", "--to", "nix", file.name()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        text(&output.stdout).contains("services.vrrp = {"),
        "{output:?}"
    );
}

#[test]
fn strict_conversion_fails_when_something_is_lost() {
    let file = File::with("strict.conf", KEEPALIVED);
    let output = vrrpd(&["convert", "--strict", file.name()]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!output.stdout.is_empty(), "the result is printed");
}

#[test]
fn conversion_reads_included_files_and_conditions_of_the_host() {
    let included = File::with("included.conf", "@one $VRID=1\n@two $VRID=2\n");
    let name = included.path().file_name().unwrap().to_str().unwrap();
    let conf = KEEPALIVED.replace("virtual_router_id 51", "virtual_router_id $VRID");
    let file = File::with("including.conf", &format!("include {name}\n{conf}"));
    for (arguments, vrid) in [(["--id", "one"], 1), (["--host", "two.example"], 2)] {
        let output = vrrpd(&["convert", file.name(), arguments[0], arguments[1]]);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert_eq!(
            json["instances"]["VI_1"]["virtualRouterId"], vrid,
            "{output:?}"
        );
    }
}

#[test]
fn mistakes_of_keepalived_conf_leave_no_configuration() {
    let file = File::with("mistake.conf", &KEEPALIVED.replace("priority", "prioritty"));
    let output = vrrpd(&["convert", file.name()]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert!(
        text(&output.stderr).contains("did you mean `priority`?"),
        "{output:?}"
    );
    let output = vrrpd(&["convert", "/nowhere/keepalived.conf"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn comments_of_keepalived_conf_may_have_another_encoding() {
    // "\u{4e2d}\u{6587}" in GBK.
    let conf = [b"! \xd6\xd0\xce\xc4\n", KEEPALIVED.as_bytes()].concat();
    let file = File::with_bytes("gbk.conf", &conf);
    let output = vrrpd(&["convert", file.name()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let output = vrrpd(&["check", file.name()]);
    assert!(text(&output.stderr).contains("vrrpd convert"), "{output:?}");
}

#[test]
fn check_recognises_keepalived_conf() {
    let file = File::with("foreign.conf", KEEPALIVED);
    let output = vrrpd(&["check", file.name()]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let complaint = text(&output.stderr);
    assert!(complaint.contains("vrrpd convert"), "{complaint}");
    assert!(!complaint.contains("line 1"), "{complaint}");
}

#[test]
fn check_compares_hosts_of_both_formats() {
    let one = File::with("host-1.json", COURSE);
    let two = File::with(
        "host-2.conf",
        &KEEPALIVED.replace("priority 100", "priority 90"),
    );
    let output = vrrpd(&["check", one.name(), two.name()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let shown = text(&output.stdout);
    assert!(shown.ends_with("2 hosts fit together\n"), "{shown}");
    assert!(shown.contains("lists them"), "{shown}");

    let three = File::with("host-3.json", &COURSE.replace("1111", "2222"));
    let output = vrrpd(&["check", one.name(), two.name(), three.name()]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let complaint = text(&output.stderr);
    let odd = format!(
        "{}: instances.VI_1.authentication.pass: most hosts have another password",
        three.name()
    );
    assert!(complaint.contains(&odd), "{complaint}");
    assert!(
        text(&output.stdout).contains("warning: equal priorities"),
        "{output:?}"
    );
}

#[test]
fn check_of_several_hosts_reports_mistakes_of_each() {
    let one = File::with(
        "wrong-1.json",
        &COURSE.replace("\"priority\": 100", "\"priority\": 0"),
    );
    let two = File::with(
        "wrong-2.conf",
        &KEEPALIVED.replace("advert_int", "advert_imt"),
    );
    let output = vrrpd(&["check", one.name(), two.name()]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let complaint = text(&output.stderr);
    assert!(
        complaint.contains("instances.VI_1.priority = 0"),
        "{complaint}"
    );
    assert!(
        complaint.contains("did you mean `advert_int`?"),
        "{complaint}"
    );
}

#[test]
fn check_names_missing_file_with_exit_status_1() {
    let output = vrrpd(&["check", "/nowhere/config.json"]);
    assert_eq!(output.status.code(), Some(1));
    let complaint = text(&output.stderr);
    assert!(complaint.contains("/nowhere/config.json"), "{complaint}");
}

#[test]
fn missing_namespace_is_named_with_exit_status_1() {
    let file = File::with("namespace.json", COURSE);
    for command in ["run", "cleanup"] {
        let directory = std::env::temp_dir().join("vrrpd-no-such-runtime");
        let output = vrrpd(&[
            command,
            "--config",
            file.name(),
            "--runtime-dir",
            directory.to_str().unwrap(),
            "--netns",
            "no-such-namespace",
        ]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let complaint = text(&output.stderr);
        assert!(
            complaint.starts_with(
                "vrrpd: cannot enter the network namespace /run/netns/no-such-namespace: "
            ) && complaint.contains("ip netns list"),
            "{complaint}"
        );
    }
}

#[test]
fn run_rejects_invalid_configuration_without_side_effects() {
    let file = File::with("run-wrong.json", TEN_MISTAKES);
    let runtime = file.path().with_extension("run");
    let output = vrrpd(&[
        "run",
        "--config",
        file.name(),
        "--runtime-dir",
        &runtime.display().to_string(),
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!runtime.exists(), "no socket was created");
}

#[test]
fn run_names_missing_capabilities_and_remedy() {
    let file = File::with("no-capabilities.json", COURSE);
    let runtime = file.path().with_extension("run").display().to_string();
    let arguments = ["run", "--config", file.name(), "--runtime-dir", &runtime];
    // As root the test drops the capabilities; other users have none.
    let output = if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args([
            "--bounding-set=-net_admin,-net_raw",
            "--inh-caps=-net_admin,-net_raw",
        ]);
        command.arg(PROGRAM).args(arguments).output()
    } else {
        Command::new(PROGRAM).args(arguments).output()
    }
    .expect("setpriv of util-linux, or the daemon, can be started");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let complaint = text(&output.stderr);
    for word in [
        "CAP_NET_ADMIN",
        "CAP_NET_RAW",
        "setcap",
        "AmbientCapabilities",
    ] {
        assert!(complaint.contains(word), "{word} in {complaint}");
    }
}

#[test]
fn status_without_daemon_names_socket() {
    let output = vrrpd(&["status", "--runtime-dir", "/nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    let complaint = text(&output.stderr);
    assert!(complaint.contains("/nowhere/control.sock"), "{complaint}");
}

#[test]
fn exporter_names_address_that_cannot_be_used() {
    // An address of documentation, which no interface has.
    let output = vrrpd(&["exporter", "--listen", "192.0.2.1:9650"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let complaint = text(&output.stderr);
    assert!(
        complaint.starts_with("vrrpd: cannot listen at 192.0.2.1:9650: "),
        "{complaint}"
    );
}

#[test]
fn doctor_without_configuration_has_exit_status_2() {
    let output = vrrpd(&["doctor", "--config", "/nowhere/config.json"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let complaint = text(&output.stderr);
    assert!(complaint.contains("/nowhere/config.json"), "{complaint}");
}

#[test]
fn schema_equals_committed_schema() {
    let output = vrrpd(&["schema"]);
    assert_eq!(output.status.code(), Some(0));
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/schema.json");
    let committed = std::fs::read_to_string(committed).unwrap();
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(parse(text(&output.stdout)), parse(&committed));
}

#[test]
fn help_lists_commands_and_version_is_printed() {
    let version = vrrpd(&["--version"]);
    assert_eq!(
        text(&version.stdout),
        format!("vrrpd {}\n", env!("CARGO_PKG_VERSION"))
    );
    let help = vrrpd(&["--help"]);
    for command in COMMANDS {
        assert!(text(&help.stdout).contains(command), "{command}");
    }
}

#[test]
fn manual_page_equals_snapshot() {
    let output = vrrpd(&["man"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = text(&output.stdout).replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::assert_snapshot!("manual", page);
}

#[test]
fn manual_page_of_configuration_has_each_key_with_its_description() {
    let output = vrrpd(&["man", "5"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = text(&output.stdout);
    assert!(page.contains(".TH VRRPD.JSON 5 "), "{page}");
    // The page writes literal words in bold, hyphens with a backslash, and apostrophes as \*(Aq.
    let plain = |text: &str| {
        let text = text.replace("\\fB", "").replace("\\fR", "");
        text.replace("\\-", "-")
            .replace("\\*(Aq", "'")
            .replace('`', "")
    };
    let page = plain(page);
    for section in vrrp_config::reference::reference() {
        assert!(page.contains(&section.places[0]) || section.places[0] == "Top level");
        for key in &section.keys {
            let entry = format!(".TP\n{} ({}", key.name, key.types);
            assert!(page.contains(&entry), "{entry}");
            let description = plain(&key.description);
            let start = description
                .split_once(['\\', '.'])
                .map_or(&*description, |(start, _)| start);
            assert!(page.contains(start), "{start}");
        }
        let last = section.example.lines().next_back().unwrap_or_default();
        assert!(page.contains(last), "{last}");
    }
}

#[test]
fn completions_offer_visible_commands_only() {
    for shell in ["bash", "fish", "zsh"] {
        let output = vrrpd(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let script = text(&output.stdout);
        for command in COMMANDS {
            assert!(script.contains(command), "{command} in {shell}: {script}");
        }
        assert!(!script.contains("completions"), "{shell}: {script}");
    }
    let output = vrrpd(&["completions", "cmd.exe"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains("bash, elvish, fish, powershell, zsh"));
}

/// Commands that users see.
const COMMANDS: [&str; 14] = [
    "run",
    "check",
    "convert",
    "status",
    "exporter",
    "drain",
    "undrain",
    "step-down",
    "priority",
    "announce",
    "reload",
    "cleanup",
    "doctor",
    "schema",
];

const PROGRAM: &str = env!("CARGO_BIN_EXE_vrrpd");

fn vrrpd(arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(arguments)
        .output()
        .expect("the daemon can be started")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the output is UTF-8")
}

/// File of one test, removed at its end.
struct File {
    path: PathBuf,
    name: String,
}

impl File {
    fn with(name: &str, content: &str) -> Self {
        Self::with_bytes(name, content.as_bytes())
    }

    fn with_bytes(name: &str, content: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("vrrpd-{}-{name}", std::process::id()));
        std::fs::write(&path, content).expect("the file can be written");
        // Like a file with a password.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .expect("the mode can be changed");
        Self {
            name: path.display().to_string(),
            path,
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_dir_all(self.path.with_extension("run"));
    }
}
