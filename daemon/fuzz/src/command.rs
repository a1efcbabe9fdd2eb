//! Fuzz target that turns bytes into a request of the operator, an answer, and the file of the standing
//! commands.

use core::time::Duration;

use vrrp_commands::{Answer, LONGEST_REQUEST, Request, Saved};
use vrrp_proto::Instant;

/// Parses bytes as each of them.
///
/// # Panics
///
/// When an accepted request has control characters or is not the same after a second parse, or a file is not
/// the same after it was written and read again.
pub fn command(bytes: &[u8]) {
    if let Ok(request) = Request::parse(bytes) {
        assert!(bytes.len() <= LONGEST_REQUEST);
        let control = |text: &str| text.chars().any(char::is_control);
        assert!(!request.reason().is_some_and(|reason| control(reason)));
        // Escapes can make it longer than what was parsed.
        if let Ok(line) = request.line() {
            assert_eq!(line.matches('\n').count(), 1);
            assert_eq!(Request::parse(line.as_bytes()), Ok(request));
        }
    }
    if let Ok(answer) = Answer::parse(bytes) {
        assert_eq!(Answer::parse(answer.line().as_bytes()).ok(), Some(answer));
    }
    if let Ok(saved) = Saved::parse(bytes) {
        let (now, wall) = (Instant::from_nanos(1 << 60), Duration::from_secs(1 << 30));
        if let Ok(commands) = saved.commands(now, wall) {
            let text = Saved::new(commands.clone(), now, wall).text();
            let again = Saved::parse(text.as_bytes()).and_then(|saved| saved.commands(now, wall));
            assert_eq!(again.ok(), Some(commands));
        }
    }
}
