//! Answer of the daemon on one of its sockets, where another program may listen.

use std::io::{self, ErrorKind, Read as _};
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// Reads from `stream` to its end into `answer`, until `until` if that is given.
///
/// # Errors
/// `TimedOut`, `FileTooLarge` for more than `largest` bytes, or an error of the socket. What has arrived is in
/// `answer` nevertheless.
pub(crate) fn read(
    stream: &mut UnixStream,
    answer: &mut Vec<u8>,
    largest: u64,
    until: Option<Instant>,
) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(left)?;
        let length = match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        };
        answer.extend_from_slice(&buffer[..length]);
        if answer.len() as u64 > largest {
            let text = format!("more than {} MiB", largest >> 20);
            return Err(io::Error::new(ErrorKind::FileTooLarge, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use super::*;
    use crate::testing::PATIENCE;

    #[test]
    fn answer_ends_with_the_connection() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"answer").unwrap();
        drop(theirs);
        let mut answer = Vec::new();
        read(&mut ours, &mut answer, 1 << 20, None).unwrap();
        assert_eq!(answer, b"answer");
    }

    #[test]
    fn answer_without_an_end_is_cut_by_time_or_size() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&[0; 100]).unwrap();
        let mut answer = Vec::new();
        let soon = Instant::now() + Duration::from_millis(10);
        let error = read(&mut ours, &mut answer, 100, Some(soon)).unwrap_err();
        assert_eq!((error.kind(), answer.len()), (ErrorKind::TimedOut, 100));
        theirs.write_all(&[0; 1]).unwrap();
        let later = Instant::now() + PATIENCE;
        let error = read(&mut ours, &mut answer, 100, Some(later)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    }
}
