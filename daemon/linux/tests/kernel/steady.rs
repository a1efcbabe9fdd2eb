//! Memory allocations in steady state: none.
#![expect(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use vrrp_linux::announce::AnnounceSocket;
use vrrp_linux::clock::{Timer, now};
use vrrp_linux::poller::{Events, Poller};
use vrrp_linux::socket::{AdvertSocket, ReceiveBatch};
use vrrp_node::listeners::VridSet;
use vrrp_proto::wire::{GROUP_V4, HOP_LIMIT};
use vrrp_proto::{Family, MacAddress, Vrid};

use crate::host::pair;

crate::tests! {
    advertisements_and_announcements_allocate_nothing,
}

fn advertisements_and_announcements_allocate_nothing() {
    let (near, far) = pair();
    let vrids: VridSet = Vrid::new(51).into_iter().collect();
    let (near_eth0, far_eth0) = (near.eth0(), far.eth0());
    let mut sender = near.within(|| AdvertSocket::open(near_eth0, Family::V4, &vrids).unwrap());
    let receiver = far.within(|| AdvertSocket::open(far_eth0, Family::V4, &vrids).unwrap());
    let mut announcements = near.within(|| AnnounceSocket::open().unwrap());
    let poller = Poller::new().unwrap();
    let mut timer = Timer::new().unwrap();
    poller.add(&timer, 0).unwrap();
    poller.add(&receiver, 1).unwrap();

    let source = Ipv4Addr::new(10, 0, 0, 1);
    let message: Arc<[u8]> = Arc::from([0x31, 51, 100, 0, 0, 100, 0, 0]);
    let (mut batch, mut events) = (ReceiveBatch::new(), Events::new());
    let mut rejected = Vec::new();
    let mut turn = || {
        timer.arm(Some(now() + Duration::from_secs(9))).unwrap();
        for _ in 0..100 {
            sender.queue(source, GROUP_V4, HOP_LIMIT, Arc::clone(&message));
            announcements.queue(near_eth0, MacAddress::default(), source);
        }
        sender.flush(&mut rejected);
        announcements.flush(&mut rejected, |_, _, error| panic!("{error}"));
        assert!(rejected.is_empty());
        let mut received = 0;
        while received < 100 {
            poller.wait(&mut events, None).unwrap();
            assert!(events.tokens().eq([1]));
            received += receiver.receive(&mut batch).unwrap().count();
        }
    };
    // The first turn may allocate buffers.
    turn();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (0..10).for_each(|_| turn());
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0);
    black_box(vec![0_u8; 9]);
    assert_eq!(
        ALLOCATIONS.load(Ordering::Relaxed) - before,
        1,
        "the allocator counts"
    );
}

/// The system's allocator with a counter of allocations.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: it does what the system's allocator does; growing goes by alloc and dealloc.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
