use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::testing::{Directory, PATIENCE, block_on};

#[test]
fn content_of_file_is_the_verdict() {
    let directory = Directory::new();
    let path = directory.path("number");
    let shown = path.display();
    let says = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        seen(&path)
    };
    let down = |text: String| (Verdict::DOWN, text);
    assert_eq!(seen(&path), down(format!("{shown} does not exist")));
    for (text, value) in [("20\n", 20), (" -3", -3), ("+7", 7), ("0", 0)] {
        let (verdict, detail) = says(text.as_bytes());
        assert_eq!(verdict, Verdict::saying(value));
        assert_eq!(detail, format!("{shown} contains {value}"));
    }
    assert_eq!(
        says(b" \n"),
        down(format!("{shown} is empty: write a number into it"))
    );
    for wrong in ["well", "1.5", "0x10", "1 2", "9999999999999999999"] {
        let reason = format!("{shown} contains {wrong:?}, which is not an integer");
        assert_eq!(says(wrong.as_bytes()), down(reason));
    }
    let long = [b'1'; 65];
    assert_eq!(
        says(&long),
        down(format!("{shown} contains more than a number"))
    );
    assert!(!says(&[0xff, b'1']).0.up);
    let folder = seen(directory.path(".").as_path());
    assert!(folder.1.ends_with("not a regular file"), "{folder:?}");
    let below = seen(&path.join("number"));
    assert!(below.1.contains("Not a directory"), "{below:?}");
}

#[test]
fn fifo_does_not_block() {
    let directory = Directory::new();
    let path = directory.path("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(seen(&path).1.ends_with("not a regular file"));
}

/// Every change of the file or of its path is an event, changes beside it are not.
#[test]
fn changes_of_file_and_path_are_reported() {
    let directory = Directory::new();
    let at = |name: &str| directory.path(name);
    let path = at("a/b/number");
    /// Description, change, and the number in the file afterwards.
    type Step<'s> = (&'s str, &'s dyn Fn(), Option<i64>);
    let steps: [Step<'_>; 11] = [
        (
            "its directory is created",
            &|| fs::create_dir(at("a")).unwrap(),
            None,
        ),
        (
            "another directory is created",
            &|| fs::create_dir(at("a/b")).unwrap(),
            None,
        ),
        ("it is created", &|| fs::write(&path, "1").unwrap(), Some(1)),
        ("it is written", &|| fs::write(&path, "2").unwrap(), Some(2)),
        (
            "it is replaced",
            &|| {
                fs::write(at("new"), "3").unwrap();
                fs::rename(at("new"), &path).unwrap();
            },
            Some(3),
        ),
        ("it is deleted", &|| fs::remove_file(&path).unwrap(), None),
        (
            "it is created as a link",
            &|| {
                fs::write(at("elsewhere"), "4").unwrap();
                symlink(at("elsewhere"), &path).unwrap();
            },
            Some(4),
        ),
        (
            "the target of the link is written",
            &|| fs::write(at("elsewhere"), "5").unwrap(),
            Some(5),
        ),
        (
            "a directory is renamed",
            &|| fs::rename(at("a"), at("away")).unwrap(),
            None,
        ),
        (
            "the directory is renamed back",
            &|| fs::rename(at("away"), at("a")).unwrap(),
            Some(5),
        ),
        (
            "the directory is deleted",
            &|| fs::remove_dir_all(at("a")).unwrap(),
            None,
        ),
    ];
    block_on(async {
        for (what, step, value) in steps {
            let mut watch = Watch::begin(&path).unwrap();
            step();
            // A change may cause several events; the last one counts.
            loop {
                let news = timeout(PATIENCE, watch.news()).await;
                news.unwrap_or_else(|_| panic!("no event when {what}"))
                    .unwrap();
                watch = Watch::begin(&path).unwrap();
                if seen(&path).0.value == value {
                    break;
                }
            }
        }
        let watch = Watch::begin(&path).unwrap();
        fs::write(at("beside"), "6").unwrap();
        fs::create_dir(at("a")).unwrap();
        let first = watch.inotify.readable().await.unwrap();
        let events = first.get_inner().0.read_events().unwrap();
        let beside: Vec<_> = events.iter().filter(|e| !watch.concerns(e)).collect();
        assert!(!beside.is_empty(), "of {events:?}");
        assert!(
            beside
                .iter()
                .all(|e| e.name.as_deref() == Some("beside".as_ref()))
        );
    });
}

/// The verdict of a file that can be read or not, but not for lack of descriptors.
fn seen(path: &Path) -> (Verdict, String) {
    look(path).unwrap()
}
