//! A fixed set of scenarios in which no law is broken, and which meets everything.

use vrrp_sim::{Campaign, Until, from_seed, run};

/// How many. More of them: `cargo run --release -p vrrp-sim -- --seeds N`.
const SEEDS: u64 = 2_000;

#[test]
fn no_law_is_broken_and_every_event_meets_every_state() {
    let campaign = Campaign {
        from: 0,
        until: Until::Seeds(SEEDS),
        keep_going: false,
    };
    let findings = campaign.play();
    if let Some((seed, at, broken)) = findings.broken.first() {
        panic!(
            "seed {seed}, {} ms: {broken}\nin short: cargo run --release -p vrrp-sim -- --from {seed} \
             --seeds 1",
            at.as_nanos() / 1_000_000
        );
    }
    assert_eq!(findings.played, SEEDS);
    let met = findings.coverage;
    assert_eq!(met.missing(), [], "{met}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..50 {
        let scenario = from_seed(seed);
        let first = run(&scenario, true);
        assert!(first.trace.len() > 10, "seed {seed} has no history");
        assert!(first.trace == run(&scenario, true).trace, "seed {seed}");
    }
}

#[test]
fn a_scenario_is_the_same_after_it_was_written_down() {
    for seed in 0..200 {
        let scenario = from_seed(seed);
        let text = serde_json::to_string(&scenario).unwrap();
        assert_eq!(scenario, serde_json::from_str(&text).unwrap());
    }
}
