//! Tests of the program as a user runs it: the interactive lab of `vrrp-lab up`, and the report of the experiments.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use libtest_mimic::{Arguments, Completion, Trial};

fn main() -> ExitCode {
    let test = Trial::ignorable_test("lab_session_can_be_entered_and_ended", || {
        Ok(lab_session_can_be_entered_and_ended())
    });
    let report = Trial::ignorable_test("report_draws_each_step", || Ok(report_draws_each_step()));
    libtest_mimic::run(&Arguments::from_args(), vec![test, report]).exit_code()
}

fn report_draws_each_step() -> Completion {
    let lab = Lab::new();
    let directory = lab.0.join("report");
    let run = lab.run(&[
        "--only",
        "power",
        "--report",
        &directory.display().to_string(),
    ]);
    if is_optional() && !run.status.success() {
        return Completion::ignored_with(text(&run).replace('\n', " "));
    }
    let page = fs::read_to_string(directory.join("index.html"))
        .unwrap_or_else(|error| panic!("{error}: {}", text(&run)));
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..roxmltree::ParsingOptions::default()
    };
    let document = roxmltree::Document::parse_with_options(&page, options).expect("well-formed");
    let sections = document
        .descendants()
        .filter(|node| node.tag_name().name() == "section");
    let drawings: Vec<String> = sections
        .map(|section| {
            let texts = section.descendants().filter(|node| node.is_text());
            texts.filter_map(|node| node.text()).collect()
        })
        .collect();
    let [start, off, on] = &drawings[..] else {
        panic!("{} steps: {}", drawings.len(), text(&run));
    };
    for (drawing, words) in [
        (start, "both hosts are powered on"),
        (off, "master loses power"),
        (off, "master-down interval 3613 ms"),
        (off, "not running"),
        (off, "no answer for"),
        (off, "advertisement"),
        (on, "master is powered on"),
        (on, "its priority is higher (100 > 99)"),
        (on, "on backup"),
    ] {
        assert!(drawing.contains(words), "{words:?} is not in: {drawing}");
    }
    Completion::Completed
}

fn lab_session_can_be_entered_and_ended() -> Completion {
    let lab = Lab::new();
    assert_says(
        &lab.run(&["exec", "master", "--", "true"]),
        1,
        "no lab is running",
    );

    let up = lab.run(&["up"]);
    if is_optional() && !up.status.success() {
        return Completion::ignored_with(text(&up).replace('\n', " "));
    }
    assert_says(&up, 0, "The lab is running");
    assert_says(&lab.run(&["up"]), 1, "it is already running");

    assert_says(&lab.run(&["exec", "master", "--", "hostname"]), 0, "master");
    assert_says(
        &lab.run(&["exec", "master", "--", "vrrpd", "status"]),
        0,
        "VI_2      master",
    );
    assert_says(
        &lab.run(&["exec", "backup", "--", "sh", "-c", "exit 7"]),
        7,
        "",
    );
    assert_says(
        &lab.run(&["exec", "router", "--", "true"]),
        1,
        "the hosts are master, backup and client",
    );
    assert_says(&lab.run(&["log", "backup"]), 0, "VI_1: init -> backup");

    assert_says(&lab.run(&["cable", "backup", "ens37", "pull"]), 0, "");
    assert_says(
        &lab.run(&["exec", "backup", "--", "cat", "/sys/class/net/lo/ifindex"]),
        0,
        "1",
    );
    assert_says(
        &lab.run(&["cable", "backup", "ens38", "pull"]),
        1,
        "its interfaces are ens33 and ens37",
    );

    assert_says(&lab.run(&["power", "backup", "off"]), 0, "");
    assert_says(
        &lab.run(&["exec", "backup", "--", "true"]),
        1,
        "the host is off",
    );
    assert_says(&lab.run(&["power", "backup", "on"]), 0, "");
    assert_says(
        &lab.run(&["exec", "backup", "--", "vrrpd", "status"]),
        0,
        "VI_1",
    );

    assert_says(&lab.run(&["down"]), 0, "The lab is down");
    assert_says(&lab.run(&["down"]), 1, "no lab is running");
    Completion::Completed
}

/// Whether a machine that cannot run the lab is no failure.
fn is_optional() -> bool {
    std::env::var_os("VRRP_LAB_OPTIONAL").is_some_and(|value| value == "1")
}

fn assert_says(output: &Output, status: i32, words: &str) {
    let said = text(output);
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(said.contains(words), "{words:?} is not in: {said}");
}

fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Lab in a runtime directory of its own, separate from a lab that the user may be running.
struct Lab(PathBuf);

impl Lab {
    fn new() -> Self {
        static LABS: AtomicU32 = AtomicU32::new(0);
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let name = format!("vrrp-lab-test-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).expect("a new directory");
        Self(directory)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_vrrp-lab"))
            .args(arguments)
            .env("XDG_RUNTIME_DIR", &self.0)
            .output()
            .expect("the program starts")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.run(&["down"]);
        let _ = fs::remove_dir_all(&self.0);
    }
}
