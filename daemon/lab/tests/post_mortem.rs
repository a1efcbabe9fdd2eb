//! `vrrp-lab capture` with packets of real daemons: a take-over after a loss of power, a preemption, and a
//! hand-over, captured on the segment.

#[path = "common/mod.rs"]
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use serde_json::Value;
use vrrp_lab::Moment;
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_proto::State::{Backup, Master};

use crate::common::{Lan, SOON, instance, only};

fn main() -> ExitCode {
    common::main(
        &[
            (
                "reasons_of_real_changes_are_found",
                reasons_of_real_changes_are_found,
            ),
            (
                "file_that_is_no_capture_is_refused",
                file_that_is_no_capture_is_refused,
            ),
        ],
        &[],
    )
}

fn reasons_of_real_changes_are_found() -> Outcome {
    let lan = Lan::new()?;
    let (high, low) = (lan.station("a", 11)?, lan.station("b", 12)?);
    let start_a = || Vrrpd::start(&high.host, &only(instance(200)));
    let a = start_a()?;
    a.wait_for_state("VI_1", Master, SOON)?;
    let b = Vrrpd::start(&low.host, &only(instance(100)))?;
    b.wait_for_state("VI_1", Backup, SOON)?;
    lan.pass(&high, 5)?;
    let died = Moment::now();
    high.host.power_off()?;
    drop(a);
    lan.advert_of(&low, died)?;
    lan.pass(&low, 5)?;
    high.host.power_on()?;
    let a = start_a()?;
    a.wait_for_state("VI_1", Master, SOON)?;
    b.wait_for_state("VI_1", Backup, SOON)?;
    lan.pass(&high, 12)?;
    a.stop()?;
    b.wait_for_state("VI_1", Master, SOON)?;
    // A take-over is judged only if the capture goes on for a second.
    lan.pass(&low, 12)?;

    let files = Files::new();
    let capture = files.0.join("network.pcap");
    lan.frames.write_pcap(&capture)?;
    let page = files.0.join("page.html");
    let output = run(&[&capture, Path::new("--json"), Path::new("--report"), &page]);
    let text = String::from_utf8_lossy(&output.stdout);
    let result: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(output.status.code(), Some(1), "{text}");
    let router = &result["virtualRouters"][0];
    let masters = router["masters"].as_array().cloned().unwrap_or_default();
    let reasons: Vec<_> = masters
        .iter()
        .map(|master| (text_of(&master["router"]), text_of(&master["reason"])))
        .collect();
    let [(first, _), rest @ ..] = &reasons[..] else {
        panic!("{text}");
    };
    assert_eq!(first, "192.168.224.11", "{text}");
    let expected = [
        ("192.168.224.12", "silence"),
        ("192.168.224.11", "preempted"),
        ("192.168.224.12", "resigned"),
    ];
    assert_eq!(
        rest,
        expected.map(|(router, reason)| (router.to_owned(), reason.to_owned())),
        "{text}"
    );
    let findings = router["findings"].as_array().cloned().unwrap_or_default();
    let problems: Vec<_> = findings
        .iter()
        .filter(|finding| finding["isProblem"] == true)
        .map(|finding| text_of(&finding["kind"]))
        // A busy machine may delay an advertisement.
        .filter(|kind| kind != "late")
        .collect();
    assert_eq!(problems, ["masterSilent"], "{text}");

    let page = fs::read_to_string(page)?;
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..roxmltree::ParsingOptions::default()
    };
    let document = roxmltree::Document::parse_with_options(&page, options)?;
    let drawings = document.descendants().filter(|node| {
        node.tag_name().name() == "svg" && node.attribute("class") == Some("timeline")
    });
    let details = masters
        .iter()
        .filter(|master| master["reason"] != "present");
    assert_eq!(
        drawings.count(),
        1 + details.count(),
        "the whole, and each change"
    );

    let text = run(&[&capture]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    let sentence = "192.168.224.12 takes over (priority 100) because 192.168.224.11 was silent for";
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(joined.contains(sentence), "{text}");
    let other = run(&[&capture, Path::new("--vrid"), Path::new("52")]);
    assert_eq!(other.status.code(), Some(1), "no advertisement");
    Ok(())
}

fn file_that_is_no_capture_is_refused() -> Outcome {
    let files = Files::new();
    let text = files.0.join("text");
    fs::write(&text, "only text")?;
    for (file, words) in [
        (text, "not a capture file"),
        (files.0.join("missing"), "No such file"),
        (files.0.clone(), "not a regular file"),
    ] {
        let output = run(&[&file]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(words), "{said}");
    }
    Ok(())
}

fn run(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vrrp-lab"))
        .arg("capture")
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Directory that is deleted afterwards.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("vrrp-post-mortem-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new directory");
        Self(path)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
