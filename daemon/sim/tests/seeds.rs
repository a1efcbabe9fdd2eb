//! Fixed set of scenarios that break no invariant and cover every combination.

use vrrp_sim::{Campaign, Until, from_seed, run};

/// Number of seeds. For more: `cargo run --release -p vrrp-sim -- --seeds N`.
const SEEDS: u64 = 2_000;

#[test]
fn seeds_break_no_invariant_and_cover_every_state() {
    let campaign = Campaign {
        from: 0,
        until: Until::Seeds(SEEDS),
        keep_going: false,
    };
    let findings = campaign.play();
    if let Some((seed, at, broken)) = findings.broken.first() {
        panic!(
            "seed {seed}, {} ms: {broken}\nreduce it with: cargo run --release -p vrrp-sim -- --from {seed} \
             --seeds 1",
            at.as_nanos() / 1_000_000
        );
    }
    assert_eq!(findings.played, SEEDS);
    let met = findings.coverage;
    assert_eq!(met.missing(), [], "{met}");
}

#[test]
fn seed_gives_the_same_trace_twice() {
    for seed in 0..50 {
        let scenario = from_seed(seed);
        let first = run(&scenario, true);
        assert!(first.trace.len() > 10, "seed {seed}: trace too short");
        assert!(first.trace == run(&scenario, true).trace, "seed {seed}");
    }
}

#[test]
fn scenario_survives_serialisation_unchanged() {
    for seed in 0..200 {
        let scenario = from_seed(seed);
        let text = serde_json::to_string(&scenario).unwrap();
        assert_eq!(scenario, serde_json::from_str(&text).unwrap());
    }
}
