//! One daemon for each network namespace.

use vrrp_linux::claim::{self, Claim, Holder, Unclaimed};

use crate::host::pair;

crate::tests! {
    namespace_is_claimed_once_until_the_claim_ends,
}

fn namespace_is_claimed_once_until_the_claim_ends() {
    let (near, far) = pair();
    let holder = Holder {
        pid: std::process::id().cast_signed(),
    };
    let claim = near.within(Claim::take).unwrap();
    assert_eq!(claim.squatter(), None);
    assert!(matches!(near.within(Claim::take), Err(Unclaimed::Taken(other)) if other == holder));
    assert_eq!(near.within(claim::holder).unwrap(), Some(holder));
    assert_eq!(
        far.within(claim::holder).unwrap(),
        None,
        "another namespace"
    );
    // The kernel's limit of the queue is 4096 by default (net.core.somaxconn).
    let listener = claim.listener().unwrap().unwrap();
    for _ in 0..5_000 {
        assert_eq!(near.within(claim::holder).unwrap(), Some(holder));
        drop(listener.accept().unwrap());
    }
    drop(listener);
    drop(far.within(Claim::take).unwrap());
    drop(claim);
    assert_eq!(near.within(claim::holder).unwrap(), None);
    near.within(Claim::take).unwrap();
}
