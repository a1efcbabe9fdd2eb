//! No input makes the conversion hang, panic or grow without bound.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use vrrp_import::{Conversion, Format, Kind, MemoryFiles, convert};

#[test]
fn each_limit_has_an_error() {
    for (text, expected) in [
        ("include k.conf\n".to_owned(), "files include each other"),
        ("include a.conf\n".repeat(1100), "more than 1000 files"),
        (
            "$A=${A}${A}\nx ${A}\n".to_owned(),
            "`$A` stands for too much",
        ),
        (
            "$A= \\\nx \\\n$A\n$A\n".to_owned(),
            "contain each other too often",
        ),
        (
            "~SEQ(n, 1, 100000000000) x $n\n".to_owned(),
            "more than 200000 lines",
        ),
        (
            "~SEQ(n, 1, 100000) ~SEQ(m, 1, 100000) @no x\n".to_owned(),
            "more than 200000 lines",
        ),
        (format!("{}\n", "x { ".repeat(100)), "more than 16 blocks"),
        ("x\n".repeat(300_000), "more than 200000 lines"),
        ("x".repeat(17_000), "more than 16384 bytes"),
        (
            format!("{}\n", "x".repeat(16_000)).repeat(1000),
            "more than 8388608 characters",
        ),
        ("x".repeat(17 << 20), "more than 16 MiB"),
        (
            format!("$A={}\n{}", "y".repeat(16_000), "x ${A}\n".repeat(2000)),
            "more than 8388608 characters",
        ),
        (
            format!("x {}\n", "{".repeat(16_000)),
            "more than 8388608 characters",
        ),
    ] {
        let begun = Instant::now();
        let report = mistakes(&text);
        let shown: String = text.chars().take(40).collect();
        assert!(report.contains(expected), "{shown}: {report:.400}");
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{shown}: {:?}",
            begun.elapsed()
        );
    }
}

#[test]
fn report_has_a_limit() {
    let report = mistakes(
        &(0..5000)
            .map(|n| format!("keyword{n}\n"))
            .collect::<String>(),
    );
    assert!(
        report.contains("4000 further entries are omitted"),
        "{report:.400}"
    );
}

#[test]
fn marker_stays_within_the_line() {
    let report = mistakes(&format!("{} ", "x".repeat(3000)));
    assert!(report.lines().all(|line| line.len() < 300), "{report:.400}");
}

fn mistakes(text: &str) -> String {
    let Conversion { output, report } = run(text);
    assert!(output.is_none() && report.has(Kind::Error));
    report.to_string()
}

fn run(text: &str) -> Conversion {
    let files = MemoryFiles::default()
        .with("/k.conf", text)
        .with("/a.conf", "");
    convert(&files, Path::new("/k.conf"), "here", Format::Json)
}

/// Words that keepalived.conf consists of.
const WORDS: &[&str] = &[
    "vrrp_instance",
    "VI_1",
    "VI_2",
    "{",
    "}",
    "\n",
    "\n",
    "interface eth0\n",
    "virtual_router_id",
    "51",
    "0",
    "virtual_ipaddress {",
    "192.0.2.1/24",
    "2001:db8::1",
    "dev",
    "label",
    "track_script {",
    "weight",
    "-20",
    "vrrp_script",
    "chk",
    "script",
    "\"/bin/true",
    "\"",
    "'",
    "\\",
    "$A=",
    "$A",
    "${A}",
    "~SEQ(A, 1, 3)",
    "~LST(",
    ")",
    "@here",
    "@^here",
    "include",
    "a.conf",
    "#",
    "!",
    "global_defs {",
    "priority",
    "255",
    "state MASTER\n",
    "advert_int",
    "0.5",
    "authentication {",
    "auth_type PASS\n",
    "auth_pass",
    "notify",
    "virtual_routes {",
    "via",
    "nexthop",
    "virtual_rules {",
    "from",
    "table",
    "vrrp_sync_group",
    "group {",
    "\u{0}",
    "\u{e4}",
    "\t",
    "version 3\n",
];

proptest! {
    #[test]
    fn every_text_has_a_result_or_an_error(words in prop::collection::vec(prop::sample::select(WORDS), 0..60)) {
        let text = words.join(" ");
        let Conversion { output, report } = run(&text);
        prop_assert_eq!(output.is_none(), report.has(Kind::Error), "{}", report);
        if let Some(output) = output {
            let checked = vrrp_config::parse(&output);
            prop_assert!(checked.is_ok(), "{:?}", checked);
        }
    }
}
