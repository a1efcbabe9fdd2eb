//! Every fault is found, and nothing else is one.

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

/// The faults of the list with the code in the daemon and the tests beside it, in words.
fn faults(list: &str, code: &str, tests: &str) -> Vec<String> {
    let files = [
        file("daemon/proto/src/router.rs", code),
        file("daemon/proto/src/router/tests/backup.rs", tests),
    ];
    let (_, faults) = join(list, &files);
    faults.iter().map(Fault::to_string).collect()
}

#[test]
fn what_is_obeyed_and_shown_has_no_fault() {
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
fn a_requirement_without_code_test_or_reason_is_told() {
    let without = |text: &str| text.replace(&format!("// {WAIT}\n"), "\n");
    assert_eq!(
        faults(LIST, &without(CODE), TESTS),
        [
            "nothing obeys: RFC 9568 6.4.2 MUST: wait for three intervals",
            "nothing obeys: RFC 3768 6.4.2 MUST: wait for three intervals and the skew",
        ]
    );
    assert_eq!(
        faults(LIST, CODE, &without(TESTS)),
        [
            "nothing shows: RFC 9568 6.4.2 MUST: wait for three intervals",
            "nothing shows: RFC 3768 6.4.2 MUST: wait for three intervals and the skew",
        ]
    );
    let deviates = LIST.replace("    kernel: ", "    deviates: ");
    assert_eq!(
        faults(&deviates, CODE, TESTS),
        [
            "nothing obeys: RFC 9568 6.4.2 MUST NOT: answer ARP requests",
            "nothing shows: RFC 9568 6.4.2 MUST NOT: answer ARP requests",
        ],
        "what is done otherwise on purpose is done by code and shown by a test"
    );
}

#[test]
fn a_citation_of_an_unknown_requirement_is_told_with_what_it_may_mean() {
    let code = CODE.replace("wait for three intervals", "wait for four intervals");
    assert_eq!(
        faults(LIST, &code, TESTS)[0],
        "daemon/proto/src/router.rs: wait: no such requirement: RFC 9568 6.4.2 MUST: wait for four \
         intervals; is it: RFC 9568 6.4.2 MUST: wait for three intervals"
    );
    let code = format!("{CODE}\n// RFC 5798 1 MAY: sleep\nconst SLEEP: u8 = 0;");
    assert_eq!(
        faults(LIST, &code, TESTS),
        ["daemon/proto/src/router.rs: SLEEP: no such requirement: RFC 5798 1 MAY: sleep"]
    );
}

#[test]
fn a_reason_that_is_no_longer_true_is_told() {
    let built = "\n// RFC 9568 7.3 MUST: it ends with the VRID\n#[test]\nfn mac() {}";
    let of = |place: &str| {
        format!(
            "{place}: mac: cites RFC 9568 7.3 MUST: it ends with the VRID, of which \
             requirements.txt says not built: virtual MAC address"
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
fn what_the_kernel_does_may_be_shown_and_is_not_obeyed_here() {
    let arp = "\n// RFC 9568 6.4.2 MUST NOT: answer ARP requests\n#[test]\nfn arp() {}";
    assert_eq!(faults(LIST, CODE, &format!("{TESTS}{arp}")), [""; 0]);
    assert_eq!(faults(LIST, &format!("{CODE}{arp}"), TESTS).len(), 1);
}

#[test]
fn what_is_the_same_as_nothing_is_told() {
    let list = LIST.replace("same as: RFC 9568 6.4.2", "same as: RFC 9568 6.4.9");
    assert_eq!(
        faults(&list, CODE, TESTS),
        [
            "RFC 3768 6.4.2 MUST: wait for three intervals and the skew: is the same as nothing: \
             RFC 9568 6.4.9 MUST: wait for three intervals"
        ]
    );
}

#[test]
fn a_line_of_the_list_that_says_nothing_is_told() {
    for (line, why) in [
        (
            "RFC 9568 6.4.2 MUST wait",
            "names neither a requirement nor a section",
        ),
        (
            "wait for three",
            "names neither a requirement nor a section",
        ),
        (
            "RFC 9568 8.1 MUST: wait",
            "does not stand below the title of its section",
        ),
        ("RFC 9568 7.1: Again", "the section has a title already"),
        (WAIT, "is there twice"),
        ("    perhaps: some day", "is a second reason"),
        ("    kernel", "says nothing"),
    ] {
        let told = faults(&format!("{LIST}{line}"), CODE, TESTS);
        let said = format!("requirements.txt:17: {why}: {}", line.trim());
        assert!(told.contains(&said), "{line}: {told:#?}");
    }
    for reason in ["perhaps: some day", "same as: nothing"] {
        let list = LIST.replace("not built: virtual MAC address", reason);
        let said = format!("requirements.txt:13: is no reason that there is: {reason}");
        assert!(faults(&list, CODE, TESTS).contains(&said), "{reason}");
    }
    let twice = LIST.replace("    not built: ", "    operator: at home\n    not built: ");
    assert_eq!(
        faults(&twice, CODE, TESTS),
        ["requirements.txt:14: is a second reason: not built: virtual MAC address"]
    );
    let orphan = format!("    note: alone\n{LIST}");
    assert_eq!(
        faults(&orphan, CODE, TESTS),
        ["requirements.txt:1: belongs to no requirement: note: alone"]
    );
}

#[test]
fn a_comment_that_only_begins_like_a_citation_is_told() {
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
        let told = faults(LIST, &code, TESTS);
        assert_eq!(told.len(), usize::from(is_one), "{line}: {told:#?}");
        if is_one {
            assert!(told[0].starts_with("daemon/proto/src/router.rs:5: no citation"));
        }
    }
}

#[test]
fn a_citation_proves_something_only_where_it_can() {
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
            "daemon/lab/src/bench.rs: helper: a citation belongs into the daemon's code or above a \
             test"
        ]
    );
    assert_eq!(
        faults_of("daemon/lab/tests/daemon/pair.rs", &helper),
        ["daemon/lab/tests/daemon/pair.rs: helper: cited, but no test that is run"]
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
        ["daemon/linux/src/plan.rs:2: this citation stands above nothing"]
    );
    assert_eq!(
        faults_of("daemon/linux/src/plan.rs", &format!("use {{\n{cited}a}};")),
        ["daemon/linux/src/plan.rs:2: this citation stands above nothing"]
    );
}
