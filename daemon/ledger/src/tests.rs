//! Tests of the faults: each is found, and correct input has none.

use super::*;

const LIST: &str = "
# For people.
RFC 9568 6.4.2: Backup
RFC 9568 6.4.2 MUST: wait for three intervals
RFC 9568 6.4.2 MUST NOT: answer ARP requests
    kernel: it answers for
        what it holds
RFC 9568 7.1: Receiving
RFC 9568 7.1 erratum 8301 MUST: the interval is not zero
    note: in centiseconds
    shown by: it_waits
RFC 9568 7.3: Virtual router MAC address
RFC 9568 7.3 MUST: it ends with the VRID
    not built: virtual MAC address
RFC 3768 6.4.2: Backup
RFC 3768 6.4.2 MUST: wait for three intervals and the skew
    same as: RFC 9568 6.4.2 MUST: wait for three intervals
";

const CODE: &str = "
/// What it does (RFC 9568 section 6.4.2).
fn wait() {
    // RFC 9568 6.4.2 MUST: wait for three intervals
    let three = 3;
}

impl Advert {
    // RFC 9568 7.1 erratum 8301 MUST: the interval is not zero
    pub const fn parse(bytes: [u8; 4]) -> u8 { 0 }
}
";

const TESTS: &str = "
// RFC 9568 6.4.2 MUST: wait for three intervals
// RFC 9568 7.1 erratum 8301 MUST: the interval is not zero
#[test]
fn it_waits() {}
";

const WAIT: &str = "RFC 9568 6.4.2 MUST: wait for three intervals";

fn file(path: &str, text: &str) -> File {
    File {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

/// Returns the faults of the list, with this code in the daemon and these tests, as text.
fn faults(list: &str, code: &str, tests: &str) -> Vec<String> {
    let files = [
        file("daemon/proto/src/router.rs", code),
        file("daemon/proto/src/router/tests/backup.rs", tests),
    ];
    let (_, faults) = join(list, &files);
    faults.iter().map(Fault::to_string).collect()
}

#[test]
fn cited_requirement_has_no_fault() {
    assert_eq!(faults(LIST, CODE, TESTS), [""; 0]);
    let files = [
        file("daemon/proto/src/router.rs", CODE),
        file("daemon/proto/src/tests.rs", TESTS),
    ];
    let (ledger, _) = join(LIST, &files);
    let rows: Vec<_> = ledger
        .rows
        .iter()
        .map(|row| {
            let items =
                |places: &[Place]| -> Vec<String> { places.iter().map(Place::to_string).collect() };
            (items(&row.code), items(&row.tests))
        })
        .collect();
    let test = vec!["daemon/proto/src/tests.rs: it_waits".to_owned()];
    let wait = vec!["daemon/proto/src/router.rs: wait".to_owned()];
    let parse = vec!["daemon/proto/src/router.rs: parse".to_owned()];
    assert_eq!(
        rows,
        [
            (wait.clone(), test.clone()),
            (vec![], vec![]),
            (parse, test.clone()),
            (vec![], vec![]),
            (wait, test),
        ]
    );
    assert_eq!(
        ledger.rows[1].standing,
        Standing::Kernel("it answers for what it holds".to_owned())
    );
    assert_eq!(ledger.rows[4].standing, Standing::Obeyed);
}

#[test]
fn note_or_deviation_without_its_test_is_fault() {
    let not_shown = LIST.replace("    shown by: it_waits\n", "");
    assert_eq!(
        faults(&not_shown, CODE, TESTS),
        [
            "no test is named (`shown by: TEST`) for the note or deviation of: RFC 9568 7.1 erratum 8301 \
             MUST: the interval is not zero"
        ]
    );
    let deviates = format!("{WAIT}\n    deviates: it waits for two");
    assert_eq!(
        faults(&LIST.replacen(WAIT, &deviates, 1), CODE, TESTS),
        [format!(
            "no test is named (`shown by: TEST`) for the note or deviation of: {WAIT}"
        )]
    );
    let renamed = LIST.replace("shown by: it_waits", "shown by: it_waited");
    assert_eq!(
        faults(&renamed, CODE, TESTS),
        [
            "RFC 9568 7.1 erratum 8301 MUST: the interval is not zero: is to be shown by it_waited, but no \
             test of that name cites it"
        ]
    );
}

#[test]
fn requirement_without_code_test_or_reason_is_fault() {
    let without = |text: &str| text.replace(&format!("// {WAIT}\n"), "\n");
    assert_eq!(
        faults(LIST, &without(CODE), TESTS),
        [
            "no code implements: RFC 9568 6.4.2 MUST: wait for three intervals",
            "no code implements: RFC 3768 6.4.2 MUST: wait for three intervals and the skew",
        ]
    );
    assert_eq!(
        faults(LIST, CODE, &without(TESTS)),
        [
            "no test verifies: RFC 9568 6.4.2 MUST: wait for three intervals",
            "no test verifies: RFC 3768 6.4.2 MUST: wait for three intervals and the skew",
        ]
    );
    let deviates = LIST.replace("    kernel: ", "    deviates: ");
    assert_eq!(
        faults(&deviates, CODE, TESTS),
        [
            "no code implements: RFC 9568 6.4.2 MUST NOT: answer ARP requests",
            "no test verifies: RFC 9568 6.4.2 MUST NOT: answer ARP requests",
        ],
        "a deviation needs code and a test, too"
    );
}

#[test]
fn unknown_citation_is_fault_with_most_similar_requirement() {
    let code = CODE.replace("wait for three intervals", "wait for four intervals");
    assert_eq!(
        faults(LIST, &code, TESTS)[0],
        "daemon/proto/src/router.rs: wait: no such requirement: RFC 9568 6.4.2 MUST: wait for four \
         intervals; the most similar is: RFC 9568 6.4.2 MUST: wait for three intervals"
    );
    let code = format!("{CODE}\n// RFC 5798 1 MAY: sleep\nconst SLEEP: u8 = 0;");
    assert_eq!(
        faults(LIST, &code, TESTS),
        ["daemon/proto/src/router.rs: SLEEP: no such requirement: RFC 5798 1 MAY: sleep"]
    );
}

#[test]
fn citation_despite_reason_is_fault() {
    let built = "\n// RFC 9568 7.3 MUST: it ends with the VRID\n#[test]\nfn mac() {}";
    let of = |place: &str| {
        format!(
            "{place}: mac: cites RFC 9568 7.3 MUST: it ends with the VRID, but \
             requirements.txt has the reason: not built: virtual MAC address"
        )
    };
    let code = format!("{CODE}{built}");
    assert_eq!(
        faults(LIST, &code, TESTS),
        [of("daemon/proto/src/router.rs")]
    );
    let tests = format!("{TESTS}{built}");
    let file = "daemon/proto/src/router/tests/backup.rs";
    assert_eq!(faults(LIST, CODE, &tests), [of(file)]);
}

#[test]
fn kernel_requirement_may_have_test_but_no_code() {
    let arp = "\n// RFC 9568 6.4.2 MUST NOT: answer ARP requests\n#[test]\nfn arp() {}";
    assert_eq!(faults(LIST, CODE, &format!("{TESTS}{arp}")), [""; 0]);
    assert_eq!(faults(LIST, &format!("{CODE}{arp}"), TESTS).len(), 1);
}

#[test]
fn reference_to_missing_requirement_is_fault() {
    let list = LIST.replace("same as: RFC 9568 6.4.2", "same as: RFC 9568 6.4.9");
    assert_eq!(
        faults(&list, CODE, TESTS),
        [
            "RFC 3768 6.4.2 MUST: wait for three intervals and the skew: refers to an unsuitable \
             requirement: RFC 9568 6.4.9 MUST: wait for three intervals"
        ]
    );
}

#[test]
fn invalid_line_of_list_is_fault() {
    for (line, why) in [
        (
            "RFC 9568 6.4.2 MUST wait",
            "neither a requirement nor the title of a section",
        ),
        (
            "wait for three",
            "neither a requirement nor the title of a section",
        ),
        (
            "RFC 9568 8.1 MUST: wait",
            "not below the title of its section",
        ),
        ("RFC 9568 7.1: Again", "second title of the section"),
        (WAIT, "duplicate requirement"),
        ("    perhaps: some day", "second reason of the requirement"),
        ("    kernel", "no text after a keyword and a colon"),
    ] {
        let found = faults(&format!("{LIST}{line}"), CODE, TESTS);
        let said = format!("requirements.txt:18: {why}: {}", line.trim());
        assert!(found.contains(&said), "{line}: {found:#?}");
    }
    for reason in ["perhaps: some day", "same as: nothing"] {
        let list = LIST.replace("not built: virtual MAC address", reason);
        let said = format!("requirements.txt:14: unknown reason: {reason}");
        assert!(faults(&list, CODE, TESTS).contains(&said), "{reason}");
    }
    let twice = LIST.replace("    not built: ", "    operator: at home\n    not built: ");
    assert_eq!(
        faults(&twice, CODE, TESTS),
        ["requirements.txt:15: second reason of the requirement: not built: virtual MAC address"]
    );
    let orphan = format!("    note: alone\n{LIST}");
    assert_eq!(
        faults(&orphan, CODE, TESTS),
        ["requirements.txt:1: no requirement before this line: note: alone"]
    );
}

#[test]
fn malformed_citation_is_fault() {
    for (line, is_one) in [
        ("// RFC 9568 section 6.4.2: wait", true),
        ("// RFC 9568 erratum 8301: an interval", true),
        ("// RFC 9568 6.4.2 must: wait for three intervals", true),
        ("// RFC 9568 6.4.2: wait", true),
        ("// RFC 9568 6.4.2 erratum MUST: wait", true),
        ("// RFC 9568 has it so.", false),
        ("// RFC 9568 section 6.4.2 has it so: wait.", false),
        ("// RFC 826 section 1 MUST: be ARP", false),
        ("// As RFC 9568 section 6.4.2 has it.", false),
        (
            "/// RFC 9568 section 6.4.2 is prose in documentation.",
            false,
        ),
        ("let text = \"// RFC 9568 6.4.2: no comment\";", false),
    ] {
        let code = CODE.replace("let three", &format!("{line}\n    let three"));
        let found = faults(LIST, &code, TESTS);
        assert_eq!(found.len(), usize::from(is_one), "{line}: {found:#?}");
        if is_one {
            assert!(found[0].starts_with("daemon/proto/src/router.rs:5: malformed citation"));
        }
    }
}

#[test]
fn citation_counts_in_daemon_code_and_tests_only() {
    let cited = format!("// {WAIT}\n");
    let faults_of = |path: &str, text: &str| {
        let files = [
            file("daemon/proto/src/router.rs", CODE),
            file("daemon/proto/src/tests.rs", TESTS),
            file(path, text),
        ];
        let (_, faults) = join(LIST, &files);
        faults.iter().map(Fault::to_string).collect::<Vec<_>>()
    };
    let helper = format!("{cited}fn helper() {{}}");
    assert_eq!(
        faults_of("daemon/lab/src/bench.rs", &helper),
        [
            "daemon/lab/src/bench.rs: helper: a citation has to be in the daemon's code or above a \
             test"
        ]
    );
    assert_eq!(
        faults_of("daemon/lab/tests/daemon/pair.rs", &helper),
        ["daemon/lab/tests/daemon/pair.rs: helper: has a citation, but no test runner runs it"]
    );
    let listed = format!("{helper}\nfn main() {{ run(&tests![pair: helper, other;]) }}");
    assert_eq!(
        faults_of("daemon/lab/tests/daemon/pair.rs", &listed),
        [""; 0]
    );
    assert_eq!(
        faults_of(
            "daemon/linux/src/plan.rs",
            &format!("fn plan() {{}}\n{cited}")
        ),
        ["daemon/linux/src/plan.rs:2: no item follows this citation"]
    );
    assert_eq!(
        faults_of("daemon/linux/src/plan.rs", &format!("use {{\n{cited}a}};")),
        ["daemon/linux/src/plan.rs:2: no item follows this citation"]
    );
}
