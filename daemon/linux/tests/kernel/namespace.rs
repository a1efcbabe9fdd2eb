//! Network namespaces, by the path of their file.

use std::path::Path;

use vrrp_linux::namespace::enter;
use vrrp_linux::request::Requests;

use crate::host::pair;

crate::tests! {
    entered_namespace_applies_to_the_thread_only,
    file_other_than_a_namespace_is_rejected,
}

fn entered_namespace_applies_to_the_thread_only() {
    let (near, far) = pair();
    let [near_address, far_address] = ["10.0.0.1/24", "10.0.0.2/24"];
    let path = far.path();
    near.within(|| {
        let entered = std::thread::spawn(move || {
            enter(Path::new(&path)).unwrap();
            addresses()
        });
        let there = entered.join().unwrap();
        assert!(there.contains(&far_address.to_owned()), "{there:?}");
        let here = addresses();
        assert!(here.contains(&near_address.to_owned()), "{here:?}");
    });
}

fn file_other_than_a_namespace_is_rejected() {
    let error = enter(Path::new("/dev/null")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    let error = enter(Path::new("no-such-namespace")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

fn addresses() -> Vec<String> {
    let dump = Requests::open().unwrap().dump().unwrap();
    let held = dump.addresses.iter();
    held.map(|(_, held)| held.address.to_string()).collect()
}
