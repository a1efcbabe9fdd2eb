//! Tests of the scanner: the item of a citation is found despite other parts of the language.

use super::*;

const CITED: &str = "// RFC 9568 6.4.2 MUST: wait";

/// Returns the item of the only citation in `text`, with ` (test)` or ` (helper)` appended in tests.
fn item(text: &str) -> String {
    let file = File {
        path: "daemon/proto/src/router.rs".to_owned(),
        text: text.replace("@", CITED),
    };
    let mut faults = Vec::new();
    let found = read(&file, &mut faults);
    assert_eq!(faults, [], "{text}");
    let [(_, place, marked)] = &found[..] else {
        panic!("{found:?} in {text}")
    };
    let kind = match (place.is_test, marked) {
        (false, _) => "",
        (true, true) => " (test)",
        (true, false) => " (helper)",
    };
    format!("{}{kind}", place.item)
}

#[test]
fn citation_in_function_belongs_to_function() {
    assert_eq!(item("fn a() { if b {\n@\n c() } }\nfn d() {}"), "a");
    assert_eq!(item("fn a() { b() }\nfn d() {\n@\n}"), "d");
    assert_eq!(item("fn a(b: [u8; 4]) {\n@\n}"), "a");
    assert_eq!(
        item("fn a<const N: usize>(b: &'static str) -> u8 {\n@\n}"),
        "a"
    );
    assert_eq!(
        item("fn a() { let b = |c: fn(u8) -> u8| { c(1) };\n@\n}"),
        "a"
    );
    assert_eq!(item("fn a() { let b: *const u8 = c; {\n@\n} }"), "a");
    assert_eq!(item("fn a() { fn b() {\n@\n} }"), "b");
}

#[test]
fn citation_between_items_belongs_to_next_item() {
    assert_eq!(
        item("fn a() {}\n@\n#[must_use]\npub(crate) async fn b() {}"),
        "b"
    );
    assert_eq!(item("@\nconst fn a() {}"), "a");
    assert_eq!(item("@\npub const A: u8 = { 1 };\nfn b() {}"), "A");
    assert_eq!(item("@\nstatic A: &'static str = \"\";"), "A");
    assert_eq!(item("impl A { \n@\n fn b(&self) {} }"), "b");
    assert_eq!(item("@\n#[derive(Debug)]\nstruct A { b: u8 }"), "A");
    assert_eq!(
        item("enum A {\n@\n B,\n C }"),
        "A",
        "a variant is its type's"
    );
}

#[test]
fn literals_and_comments_are_skipped() {
    assert_eq!(
        item("fn a() { \"} fn b() {\"; '}'; '\\''; b'{';\n@\n}"),
        "a"
    );
    assert_eq!(item("fn a() { r#\"} \" fn b() {\"#; br\"}\";\n@\n}"), "a");
    assert_eq!(item("fn a<'b>(c: &'b u8) { \"\\\"}\";\n@\n}"), "a");
    assert_eq!(item("/* } /* } */ fn b() { */ fn a() { // }\n@\n}"), "a");
    assert_eq!(
        item("fn a() { #[expect(x, reason = \"]}\")]\n@\n b() }"),
        "a"
    );
}

#[test]
fn tests_are_distinguished_from_code() {
    assert_eq!(
        item("#[cfg(test)]\nmod tests {\n@\n#[test]\nfn a() {} }"),
        "a (test)"
    );
    assert_eq!(
        item("#[cfg(test)]\nmod tests {\n#[test]\nfn a() {\n@\n} }"),
        "a (test)"
    );
    assert_eq!(
        item("#[cfg(test)]\nmod tests {\n#[test]\nfn a() {}\n@\nfn b() {} }"),
        "b (helper)"
    );
    assert_eq!(item("#[cfg(test)]\nmod tests;\n@\nfn a() {}"), "a");
    assert_eq!(
        item("#[cfg(test)]\nmod tests { fn a() {} }\n@\nfn b() {}"),
        "b"
    );
    assert_eq!(
        item("#[cfg(test)]\nmod t { proptest! {\n@\n#[test]\nfn a(x in y()) {} } }"),
        "a (test)"
    );
    for path in [
        "daemon/proto/src/engine/tests/life.rs",
        "daemon/lab/tests/core.rs",
    ] {
        assert!(is_test_file(path));
    }
    assert!(is_test_file("daemon/proto/src/router/tests.rs"));
    assert!(!is_test_file("daemon/proto/src/latest.rs"));
}
