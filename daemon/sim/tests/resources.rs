//! What follows a master, in a fixed set of worlds.

/// How many.
const SEEDS: u64 = 2_000;

#[test]
fn resources_come_in_order_leave_in_reverse_and_run_where_the_master_is_alone() {
    let mut jobs = 0;
    for seed in 0..SEEDS {
        match vrrp_sim::resources::play(seed) {
            Ok(done) => jobs += done,
            Err((at, broken)) => panic!("seed {seed}, {} ms: {broken}", at.as_nanos() / 1_000_000),
        }
    }
    assert!(jobs > 20 * SEEDS, "only {jobs} jobs were asked for");
}
