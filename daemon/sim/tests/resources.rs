//! Fixed set of simulations of a router's resources.

/// Number of seeds.
const SEEDS: u64 = 2_000;

#[test]
fn resources_start_in_order_on_the_master_only() {
    let mut jobs = 0;
    for seed in 0..SEEDS {
        match vrrp_sim::resources::play(seed) {
            Ok(done) => jobs += done,
            Err((at, broken)) => panic!("seed {seed}, {} ms: {broken}", at.as_nanos() / 1_000_000),
        }
    }
    assert!(jobs > 20 * SEEDS, "only {jobs} jobs");
}
