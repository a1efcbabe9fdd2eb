//! Configurations, passwords and keys in files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use vrrp_config::{LoadError, Loaded, Secrets, load, parse};
use vrrp_proto::Password;
use vrrp_proto::params::Authentication;
use vrrp_proto::wire::hmac::{Key, KeyId};

/// Temporary directory of a test, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("vrrp-config-{}-{test}", std::process::id()));
        fs::create_dir_all(&path).expect("create the directory");
        Self(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("write the file");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set its mode");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn configuration(pass: &str) -> String {
    format!(
        r#"{{ "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51, "version": 2,
                                        "authentication": {{ "pass": {{ {pass} }} }},
                                        "virtualAddresses": ["192.0.2.1/24"] }} }} }}"#
    )
}

/// Loads a configuration whose password is in `file`.
fn complete(file: &Path, credentials: Option<&Path>) -> Result<Loaded, String> {
    let text = configuration(&format!(r#""passwordFile": "{}""#, file.display()));
    parse(&text)
        .and_then(|checked| checked.complete(Secrets::Read, credentials))
        .map_err(|problems| problems.to_string())
}

fn authentication(loaded: &Loaded) -> &Authentication {
    &loaded.node.routers["VI_1"].authentication
}

fn pass(password: &[u8]) -> Authentication {
    Password::new(password).into()
}

/// Returns a configuration with the HMAC `keys`, of which number 1 is active.
fn configuration_with_keys(keys: &str) -> String {
    format!(
        r#"{{ "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51,
             "authentication": {{ "hmac": {{ "keys": {{ {keys} }}, "activeKey": 1 }} }},
             "virtualAddresses": ["192.0.2.1/24"] }} }} }}"#
    )
}

/// Returns the keys, the active one first, or the problems of their files.
fn keys(text: &str, secrets: Secrets) -> Result<Vec<Key>, String> {
    let loaded = parse(text)
        .and_then(|checked| checked.complete(secrets, None))
        .map_err(|problems| problems.to_string())?;
    Ok(match authentication(&loaded) {
        Authentication::Hmac(hmac) => hmac.keys().copied().collect(),
        Authentication::None | Authentication::Pass(_) => Vec::new(),
    })
}

fn key(number: u8, secret: &[u8]) -> Key {
    let id = KeyId::new(number).expect("a key number from 1 to 255");
    Key::new(id, secret).expect("a secret of 32 to 64 bytes")
}

#[test]
fn key_file_holds_text_or_hex() {
    let directory = Directory::new("key");
    let text = "0123456789abcdef0123456789abcdef";
    let hex = format!("hex:{}", "a5".repeat(64));
    for (content, secret) in [
        (text.to_owned(), text.as_bytes().to_vec()),
        (format!("{text}\n"), text.as_bytes().to_vec()),
        (hex.clone(), vec![0xa5; 64]),
        (format!("{hex}\n"), vec![0xa5; 64]),
    ] {
        let file = directory.write("key", &content, 0o600);
        let text = configuration_with_keys(&format!(
            r#""1": {{ "keyFile": "{}" }}, "2": {{ "key": "{text}" }}"#,
            file.display()
        ));
        assert_eq!(
            keys(&text, Secrets::Read).unwrap(),
            [key(1, &secret), key(2, b"0123456789abcdef0123456789abcdef")]
        );
        // `vrrpd check --without-secrets` skips the file; the result lacks the keys.
        assert_eq!(keys(&text, Secrets::Skip).unwrap(), []);
    }
}

#[test]
fn invalid_key_file_is_reported_without_its_content() {
    let directory = Directory::new("bad-key");
    for (content, reason) in [
        (
            String::new(),
            "the key in it must be 32 to 64 bytes long, this one is 0",
        ),
        ("s3cret".repeat(5), "this one is 30"),
        ("s3cret".repeat(11), "this one is 66"),
        ("s3cret".repeat(23), "contains more than 132 bytes"),
        (
            format!("hex:s3cret{}", "00".repeat(32)),
            "two hexadecimal digits for each byte",
        ),
        (
            format!("hex:{}0", "00".repeat(32)),
            "two hexadecimal digits for each byte",
        ),
    ] {
        let file = directory.write("key", content, 0o600);
        let text =
            configuration_with_keys(&format!(r#""1": {{ "keyFile": "{}" }}"#, file.display()));
        let problem = keys(&text, Secrets::Read).unwrap_err();
        assert!(problem.contains(reason), "{problem}");
        assert!(
            problem.starts_with("instances.VI_1.authentication.hmac.keys.1.keyFile = "),
            "{problem}"
        );
        assert!(!problem.contains("s3cret"), "{problem}");
    }
}

#[test]
fn world_readable_key_is_a_warning() {
    let directory = Directory::new("open-key");
    let text = configuration_with_keys(r#""1": { "key": "0123456789abcdef0123456789abcdef" }"#);
    let file = directory.write("config.json", &text, 0o644);
    let loaded = load(&file, Secrets::Read).unwrap();
    assert_eq!(
        loaded.warnings[0].to_string(),
        "instances.VI_1.authentication.hmac.keys.1.key: this file is world-readable and contains the key: \
         chmod o-r, or use keyFile"
    );
}

#[test]
fn credentials_in_a_world_readable_file_are_a_warning() {
    let directory = Directory::new("open-header");
    let text = r#"{ "instances": {}, "trackers": { "page": { "http": { "url": "http://192.0.2.1/",
        "headers": { "Authorization": "Basic c2VjcmV0", "Accept": "*/*" } } } } }"#;
    let file = directory.write("config.json", text, 0o644);
    let warnings = load(&file, Secrets::Read).unwrap().warnings;
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert!(
        warnings.contains(
            &"trackers.page.http.headers.authorization: this file is world-readable and contains these \
              credentials: chmod o-r"
                .to_owned()
        ),
        "{warnings:?}"
    );
    assert!(
        !format!("{warnings:?}").contains("c2VjcmV0"),
        "{warnings:?}"
    );
}

#[test]
fn program_that_every_user_may_replace_is_a_warning() {
    let directory = Directory::new("programs");
    let program = directory.write("check.sh", "#!/bin/sh\n", 0o757);
    let safe = directory.write("safe.sh", "#!/bin/sh\n", 0o755);
    let text = |program: &Path| {
        format!(
            r#"{{ "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51,
                "virtualAddresses": ["192.168.224.100/24"],
                "track": [{{ "tracker": "httpd", "weight": -20 }}],
                "notify": {{ "master": ["{program}"], "user": "nobody" }} }} }},
                "trackers": {{ "httpd": {{ "script": {{ "command": ["{program}"], "interval": 2 }} }} }} }}"#,
            program = program.display()
        )
    };
    let warnings = |program: &Path, secrets| {
        let file = directory.write("config.json", text(program), 0o600);
        let warnings = load(&file, secrets).unwrap().warnings;
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let remedy = format!(
        "{program} is world-writable, chmod o-w {program}",
        program = program.display()
    );
    assert_eq!(
        warnings(&program, Secrets::Read),
        [
            format!(
                "trackers.httpd.script.command[0]: every local user may run any program as the user of \
                 scripts: {remedy}"
            ),
            format!(
                "instances.VI_1.notify.master[0]: every local user may run any program as nobody: {remedy}"
            ),
        ]
    );
    assert_eq!(warnings(&program, Secrets::Skip), [""; 0]);
    assert_eq!(warnings(&safe, Secrets::Read), [""; 0]);
    fs::set_permissions(&directory.0, Permissions::from_mode(0o777)).unwrap();
    assert_eq!(warnings(&safe, Secrets::Read).len(), 2, "its directory");
    fs::set_permissions(&directory.0, Permissions::from_mode(0o1777)).unwrap();
    assert_eq!(warnings(&safe, Secrets::Read), [""; 0]);
}

#[test]
fn password_file_loses_one_trailing_newline() {
    let directory = Directory::new("password");
    for (content, password_read) in [
        ("1111", "1111"),
        ("1111\n", "1111"),
        ("12345678\n", "12345678"),
        ("1\n\n", "1\n"),
    ] {
        let file = directory.write("password", content, 0o600);
        let loaded = complete(&file, None).unwrap();
        assert_eq!(
            *authentication(&loaded),
            pass(password_read.as_bytes()),
            "{content:?}"
        );
        assert_eq!(loaded.warnings, []);
    }
}

#[test]
fn relative_password_file_is_a_credential() {
    let directory = Directory::new("credential");
    directory.write("vrrp", "1111\n", 0o400);
    let loaded = complete(Path::new("vrrp"), Some(&directory.0)).unwrap();
    assert_eq!(*authentication(&loaded), pass(b"1111"));
    assert_eq!(
        complete(Path::new("vrrp"), None).unwrap_err(),
        "instances.VI_1.authentication.pass.passwordFile = \"vrrp\": is a relative path and \
         $CREDENTIALS_DIRECTORY is not set: write an absolute path, or let systemd provide it (LoadCredential=)"
    );
}

#[test]
fn invalid_password_file_is_reported_without_its_content() {
    let directory = Directory::new("bad");
    for (content, reason) in [
        ("", "is empty"),
        ("\n", "is empty"),
        ("s3cret-long", "contains more than 8 bytes"),
        ("s3cret-xx", "contains more than 8 bytes"),
        ("s3cret8b\r\n", "contains more than 8 bytes"),
    ] {
        let file = directory.write("password", content, 0o600);
        let problem = complete(&file, None).unwrap_err();
        assert!(problem.contains(reason), "{problem}");
        assert!(problem.contains(&file.display().to_string()), "{problem}");
        assert!(!problem.contains("s3cret"), "{problem}");
    }
    let problem = complete(&directory.0.join("nowhere"), None).unwrap_err();
    assert!(
        problem.contains("cannot be read: No such file or directory"),
        "{problem}"
    );
}

#[test]
fn world_readable_password_is_a_warning() {
    let directory = Directory::new("open");
    let open = directory.write("open", "1111", 0o644);
    let loaded = complete(&open, None).unwrap();
    assert!(
        loaded.warnings[0]
            .message
            .contains("this file is world-readable")
    );

    let text = configuration(r#""password": "1111""#);
    let file = directory.write("config.json", &text, 0o644);
    let loaded = load(&file, Secrets::Read).unwrap();
    assert_eq!(
        loaded.warnings[0].to_string(),
        "instances.VI_1.authentication.pass.password: this file is world-readable and contains the password: \
         chmod o-r, or use passwordFile"
    );
    let file = directory.write("config.json", &text, 0o640);
    assert_eq!(load(&file, Secrets::Read).unwrap().warnings, []);
}

#[test]
fn check_can_skip_secret_files() {
    let directory = Directory::new("skip");
    let file = directory.write(
        "config.json",
        configuration(r#""passwordFile": "/nowhere""#),
        0o644,
    );
    let loaded = load(&file, Secrets::Skip).unwrap();
    assert_eq!(*authentication(&loaded), Authentication::None);
    let error = load(&file, Secrets::Read).unwrap_err();
    assert!(matches!(error, LoadError::Secrets { .. }), "{error}");
}

#[test]
fn file_that_is_no_text_is_refused_with_its_kind() {
    let directory = Directory::new("kinds");
    let write = |name, bytes: &[u8]| directory.write(name, bytes, 0o600);
    for (file, reason) in [
        (directory.0.clone(), "it is a directory"),
        (
            write("latin1.json", b"{\n \"\xe4\": 1 }"),
            "line 2 contains bytes that are not UTF-8",
        ),
        (
            write("utf16.json", b"\xff\xfe{\0}\0"),
            "it is UTF-16: save it as UTF-8",
        ),
        (
            write("large.json", &vec![b' '; (16 << 20) + 1]),
            "it is larger than 16 MiB",
        ),
        ("/dev/zero".into(), "it is larger than 16 MiB"),
    ] {
        let error = load(&file, Secrets::Read).unwrap_err();
        assert!(matches!(error, LoadError::Unusable { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            format!("{}: no configuration: {reason}", file.display())
        );
    }
}

#[test]
fn byte_order_mark_is_ignored() {
    let directory = Directory::new("mark");
    let text = configuration(r#""password": "1111""#);
    let file = directory.write("marked.json", format!("\u{feff}{text}"), 0o600);
    load(&file, Secrets::Read).unwrap();
}

#[test]
fn file_that_all_may_write_is_a_warning() {
    let directory = Directory::new("writable");
    let text = configuration(r#""passwordFile": "/nowhere""#);
    let file = directory.write("config.json", text, 0o602);
    let warnings = load(&file, Secrets::Skip).unwrap().warnings;
    let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "every local user may write this file, and so run commands as the user of scripts: chmod o-w"
        ]
    );
}

#[test]
fn load_errors_name_file_and_kind() {
    let directory = Directory::new("fault");
    let missing = load(&directory.0.join("none.json"), Secrets::Read).unwrap_err();
    assert!(matches!(missing, LoadError::Unreadable { .. }));
    assert!(
        missing
            .to_string()
            .ends_with("none.json: cannot be read: No such file or directory (os error 2)")
    );

    let wrong = directory.write("wrong.json", r#"{ "instance": {}, "tracker": {} }"#, 0o600);
    let error = load(&wrong, Secrets::Read).unwrap_err();
    assert!(
        matches!(&error, LoadError::Invalid { problems, .. } if problems.as_slice().len() == 2)
    );
    assert_eq!(
        error.to_string(),
        format!(
            "{}: invalid configuration\n\
             instance: unknown key: did you mean \"instances\"?\n\
             tracker: unknown key: did you mean \"trackers\"?",
            wrong.display()
        )
    );
}
