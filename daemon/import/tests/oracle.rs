//! keepalived as the oracle: what `keepalived -t` accepts is converted, and what it rejects has an error.
//!
//! keepalived rejects interfaces that do not exist, so `IF` in a text becomes one of this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use vrrp_import::{Conversion, Format, MemoryFiles, convert};

/// Settings inside of an instance, or beside it, that both accept.
const RIGHT: &[&str] = &[
    "",
    "state MASTER\nadvert_int 2",
    "state BACKUP\nnopreempt",
    "preempt_delay 2.5",
    "version 3\nadvert_int 0.25",
    "authentication {\nauth_type PASS\nauth_pass 1111\n}",
    "virtual_ipaddress_excluded {\n2001:db8::1/64\n192.0.2.2/24 dev IF\n}",
    "virtual_ipaddress {\n192.0.2.3/24 brd + dev IF label IF:1 scope link\n}",
    "unicast_peer {\n192.0.2.12\n}",
    "garp_master_delay 1\ngarp_master_repeat 2\ngarp_master_refresh 60\ngarp_lower_prio_repeat 1",
    "track_script { check }",
    "track_script\n{\ncheck weight -20\n}",
    "track_file {\nnumber weight 1\n}",
    "track_process {\nserver\n}",
    "notify_master \"/bin/true master\" root\nnotify_backup /bin/true",
    "virtual_rules {\nfrom 192.0.2.0/24 table 100 preference 100\n}",
    "virtual_routes {\n10.0.0.0/8 via 192.0.2.9 dev IF metric 5\n}",
    "priority 100 # a comment\npriority 101 ! another one",
    "virtual_ipaddress { ~SEQ(n, 10, 12) 192.0.2.$n\n}",
    "$N=7\npriority 10${N}",
    "$MORE= \\\npriority 50 \\\npreempt_delay 1\n$MORE",
    "@here priority 7\n@^here priority wrong\n@other priority wrong",
    "accept\ndebug 1",
    "accept false",
    "dont_track_primary off\nnopreempt 0",
    "unicast_peer {\n192.0.2.12/24\n192.0.2.12\n}",
    "virtual_routes {\n10.0.0.0/8 via 192.0.2.9 dev IF\n10.0.0.0/8 via 192.0.2.9 dev IF\n}",
    "notify \"\"",
    "authentication {\nauth_pass 1111\n}",
    "track_script {\ncheck weight 5 reverse\n}",
    "virtual_ipaddress {\n192.0.2.1/24\n}",
    "virtual_ipaddress_excluded {\n192.0.2.1/24 dev IF\n}",
    "}\nvrrp_script check {\nscript /bin/false",
    "}\nvrrp_script tcp {\nscript \"</dev/tcp/127.0.0.1/80\"",
];

/// Settings inside of an instance that both reject.
const WRONG: &[&str] = &[
    "prioritty 100",
    "virtual_router_id 256",
    "virtual_router_id none",
    "state MAIN",
    "advert_int fast",
    "priority 256",
    "state MASTER\nstate BACKUP",
    "native_ipv6",
    "track_script {\nlate\n}\n}\nvrrp_script late {\nscript /bin/true",
    "notify_master /bin/true\nnotify_master /bin/true",
    "}\nvrrp_sync_group G {\ngroup { VI_1 }\ngroup { VI_1 }",
    "virtual_ipaddress {\n192.0.2.300\n}",
    "virtual_ipaddress 192.0.2.5",
    "virtual_ipaddress {\n192.0.2.1/33\n}",
    "virtual_ipaddress {\n192.0.2.1 devv IF\n}",
    "virtual_ipaddress {\n192.0.2.1 dev\n}",
    "virtual_ipaddress {\n2001:db8::1/64\n}",
    "track_script {\nchek\n}",
    "track_script {\ncheck weight 500\n}",
    "track_script {\ncheck wait 5\n}",
    "notify_master \"/bin/true",
    "authentication {\nauth_type NONE\nauth_pass 1111\n}",
    "}",
    "virtual_routes {\n10.0.0.0/8 vai 192.0.2.9\n}",
    "$N = 7",
    "}\nvrrp_instance VI_1 {\ninterface IF\nvirtual_router_id 9\nvirtual_ipaddress {\n192.0.2.9\n}",
    "}\nvrrp_instance VI_2 {\ninterface IF",
];

#[test]
fn keepalived_and_conversion_accept_the_same_settings() {
    let Some(oracle) = Oracle::new() else { return };
    let mut differing = Vec::new();
    for (settings, expected) in RIGHT
        .iter()
        .map(|s| (s, true))
        .chain(WRONG.iter().map(|s| (s, false)))
    {
        let text = oracle.text(settings);
        let (accepted, said) = oracle.accepts(&text);
        let files = MemoryFiles::default().with("/k.conf", text.as_str());
        let Conversion { output, report } =
            convert(&files, Path::new("/k.conf"), "here", Format::Json);
        if accepted != expected || output.is_some() != expected {
            differing.push(format!(
                "{settings}\nkeepalived: {accepted}\n{said}\nconversion: {report}\n"
            ));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

struct Oracle {
    interface: String,
    file: PathBuf,
}

impl Oracle {
    /// Returns the oracle; without one the test cannot run, and says so.
    #[expect(clippy::print_stderr, reason = "the end of .ci/run lists these lines")]
    fn new() -> Option<Self> {
        let test = "keepalived_and_conversion_accept_the_same_settings";
        let interfaces = fs::read_dir("/sys/class/net")
            .into_iter()
            .flatten()
            .flatten();
        let names = interfaces.filter_map(|entry| entry.file_name().into_string().ok());
        let interface = names.filter(|name| name != "lo").min();
        let Some(interface) = interface else {
            eprintln!("{test}: NOT RUN: keepalived needs an interface beside lo");
            return None;
        };
        let file = std::env::temp_dir().join(format!("vrrp-import-{}.conf", std::process::id()));
        let oracle = Self { interface, file };
        let (accepted, said) = oracle.accepts(&oracle.text(""));
        if !accepted {
            eprintln!("{test}: NOT RUN: keepalived rejects a right configuration: {said}");
        }
        accepted.then_some(oracle)
    }

    fn text(&self, settings: &str) -> String {
        let text = format!(
            "global_defs {{\nscript_user root\nenable_script_security\n}}\n\
             vrrp_script check {{\nscript \"/bin/true\"\ntimeout 1\n}}\n\
             vrrp_track_file number {{\nfile /run/vrrp-number\n}}\n\
             vrrp_track_process server {{\nprocess server\n}}\n\
             vrrp_instance VI_1 {{\ninterface IF\nvirtual_router_id 51\n\
             virtual_ipaddress {{\n192.0.2.1/24\n}}\n{settings}\n}}\n"
        );
        text.replace("IF", &self.interface)
    }

    /// Whether keepalived accepts a file, and what it says.
    fn accepts(&self, text: &str) -> (bool, String) {
        fs::write(&self.file, text).expect("the file can be written");
        let output = Command::new("keepalived")
            .args(["-t", "-i", "here", "-f"])
            .arg(&self.file)
            .output();
        match output {
            Ok(output) => (
                output.status.success(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            ),
            Err(error) => (false, format!("{error}: apt-get install keepalived")),
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}
