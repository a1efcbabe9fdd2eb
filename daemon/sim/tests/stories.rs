//! Stories: short scenarios of defects that the simulation found. The name of a file says the correct
//! behaviour.

use vrrp_sim::{Scenario, run};

#[test]
fn stories_of_earlier_defects_break_no_invariant() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/stories");
    let mut played = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read(&path).unwrap();
        let scenario: Scenario = serde_json::from_slice(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let outcome = run(&scenario, false);
        if let Some((at, broken)) = outcome.broken {
            panic!(
                "{}, {} ms: {broken}",
                path.display(),
                at.as_nanos() / 1_000_000
            );
        }
        assert!(
            outcome.coverage.ends > 0,
            "{}: never reaches the final state",
            path.display()
        );
        played += 1;
    }
    assert!(played > 0, "no story in {folder}");
}
