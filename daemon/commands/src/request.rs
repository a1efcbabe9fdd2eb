//! Requests.

use core::num::NonZeroU32;
use core::time::Duration;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use vrrp_proto::Priority;
use vrrp_proto::operator::CommandKind;

/// Most bytes of a request, with its line feed.
pub const LONGEST_REQUEST: usize = 4096;

/// Most characters of a reason and of the name of an instance.
const LONGEST_TEXT: usize = 256;

/// Longest time of a standing command with a bound: ten years.
pub(crate) const LONGEST_TIME: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// Request of the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Request {
    /// Leaves mastership of all instances to other hosts.
    Drain {
        /// Time.
        lasts: Lasting,
        /// Whether an instance becomes master if no other host does.
        last_resort: bool,
        /// Reason, for status and log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Arc<str>>,
    },
    /// Leaves mastership to another host.
    StepDown {
        /// Instances.
        instance: Scope,
        /// Time.
        lasts: Lasting,
        /// Whether an instance becomes master if no other host does.
        last_resort: bool,
        /// Reason, for status and log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Arc<str>>,
    },
    /// Replaces the configured priority.
    Priority {
        /// Instances.
        instance: Scope,
        /// Priority, 1 to 254.
        value: Priority,
        /// Time.
        lasts: Lasting,
        /// Reason, for status and log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Arc<str>>,
    },
    /// Ends standing commands of a kind.
    End {
        /// Kind.
        command: CommandKind,
        /// Instances. A drain is that of all.
        instance: Scope,
    },
    /// Announces the addresses of masters again.
    Announce {
        /// Instances.
        instance: Scope,
    },
    /// Reads the configuration again.
    Reload {
        /// Whether only to tell the changes.
        dry_run: bool,
    },
}

/// Instances that a request is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// All instances.
    All,
    /// The instance with this name.
    Name(Arc<str>),
}

/// Time of a standing command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Lasting {
    /// Until another command ends it.
    Forever,
    /// This number of seconds, up to ten years.
    Seconds(NonZeroU32),
}

/// Reason why bytes are no request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The request is too long.
    #[error("a request has at most {LONGEST_REQUEST} bytes")]
    TooLong,
    /// The bytes are no request in JSON.
    #[error("malformed request: {0}")]
    Malformed(String),
    /// A name or a reason is too long, empty, or has control characters.
    #[error("{0} must have 1 to {LONGEST_TEXT} characters and no control characters")]
    Text(&'static str),
    /// The priority is that of an owner.
    #[error("the priority must be 1 to 254: 255 is that of the owner of the addresses")]
    Owner,
    /// The time is too long.
    #[error("the time must be at most ten years, or forever")]
    Time,
}

impl Request {
    /// Parses a line, with or without its line feed.
    ///
    /// # Errors
    /// If the line is no request, or a value of it is out of range.
    pub fn parse(line: &[u8]) -> Result<Self, RequestError> {
        if line.len() > LONGEST_REQUEST {
            return Err(RequestError::TooLong);
        }
        let request: Self = serde_json::from_slice(line)
            .map_err(|error| RequestError::Malformed(error.to_string()))?;
        request.check()?;
        Ok(request)
    }

    /// The request as a line.
    ///
    /// # Errors
    /// If a value of it is out of range.
    pub fn line(&self) -> Result<String, RequestError> {
        self.check()?;
        let text = serde_json::to_string(self);
        let mut text = text.map_err(|error| RequestError::Malformed(error.to_string()))?;
        text.push('\n');
        match text.len() > LONGEST_REQUEST {
            true => Err(RequestError::TooLong),
            false => Ok(text),
        }
    }

    fn check(&self) -> Result<(), RequestError> {
        let is_text = |text: &str| {
            let is_long = text.chars().count() > LONGEST_TEXT;
            !is_long && !text.is_empty() && !text.chars().any(char::is_control)
        };
        if let Some(Scope::Name(name)) = self.instance()
            && !is_text(name)
        {
            return Err(RequestError::Text("the name of an instance"));
        }
        if let Some(reason) = self.reason()
            && !is_text(reason)
        {
            return Err(RequestError::Text("a reason"));
        }
        if let Self::Priority { value, .. } = self
            && value.is_owner()
        {
            return Err(RequestError::Owner);
        }
        match self.lasts().and_then(Lasting::duration) {
            Some(time) if time > LONGEST_TIME => Err(RequestError::Time),
            Some(_) | None => Ok(()),
        }
    }

    /// Instances that the request is for, if it is for some.
    pub const fn instance(&self) -> Option<&Scope> {
        match self {
            Self::StepDown { instance, .. }
            | Self::Priority { instance, .. }
            | Self::End { instance, .. }
            | Self::Announce { instance } => Some(instance),
            Self::Drain { .. } | Self::Reload { .. } => None,
        }
    }

    /// Reason of a standing command, if the operator gives one.
    pub const fn reason(&self) -> Option<&Arc<str>> {
        match self {
            Self::Drain { reason, .. }
            | Self::StepDown { reason, .. }
            | Self::Priority { reason, .. } => reason.as_ref(),
            Self::End { .. } | Self::Announce { .. } | Self::Reload { .. } => None,
        }
    }

    /// Time of a standing command.
    pub const fn lasts(&self) -> Option<Lasting> {
        match self {
            Self::Drain { lasts, .. }
            | Self::StepDown { lasts, .. }
            | Self::Priority { lasts, .. } => Some(*lasts),
            Self::End { .. } | Self::Announce { .. } | Self::Reload { .. } => None,
        }
    }
}

impl Lasting {
    /// The time, or `None` without a bound.
    pub const fn duration(self) -> Option<Duration> {
        match self {
            Self::Forever => None,
            Self::Seconds(seconds) => Some(Duration::from_secs(seconds.get() as u64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step_down(reason: &str) -> Request {
        Request::StepDown {
            instance: Scope::Name("VI_1".into()),
            lasts: Lasting::Seconds(NonZeroU32::new(600).unwrap()),
            last_resort: true,
            reason: Some(reason.into()),
        }
    }

    #[test]
    fn request_survives_its_line() {
        let line = step_down("kernel update").line().unwrap();
        assert_eq!(
            line,
            "{\"stepDown\":{\"instance\":{\"name\":\"VI_1\"},\"lasts\":{\"seconds\":600},\
             \"lastResort\":true,\"reason\":\"kernel update\"}}\n"
        );
        assert_eq!(
            Request::parse(line.as_bytes()),
            Ok(step_down("kernel update"))
        );
    }

    #[test]
    fn request_without_a_bound_names_it() {
        let line = br#"{"drain":{"lasts":"forever","lastResort":false}}"#;
        let drain = Request::parse(line).unwrap();
        assert_eq!(drain.lasts().unwrap().duration(), None);
        let line = br#"{"drain":{"lastResort":false}}"#;
        assert!(matches!(
            Request::parse(line),
            Err(RequestError::Malformed(_))
        ));
    }

    #[test]
    fn reason_with_control_characters_is_rejected() {
        assert_eq!(
            step_down("one\ntwo").line(),
            Err(RequestError::Text("a reason"))
        );
        assert_eq!(step_down("").line(), Err(RequestError::Text("a reason")));
        assert_eq!(
            step_down(&"x".repeat(257)).line(),
            Err(RequestError::Text("a reason"))
        );
    }

    #[test]
    fn priority_of_the_owner_is_rejected() {
        let line = |value: u16| {
            format!(
                r#"{{"priority":{{"instance":"all","value":{value},"lasts":{{"seconds":1}}}}}}"#
            )
        };
        assert!(Request::parse(line(254).as_bytes()).is_ok());
        assert_eq!(
            Request::parse(line(255).as_bytes()),
            Err(RequestError::Owner)
        );
        let zero = Request::parse(line(0).as_bytes());
        assert!(matches!(zero, Err(RequestError::Malformed(_))), "{zero:?}");
    }

    #[test]
    fn request_that_is_too_long_is_not_parsed() {
        let line = " ".repeat(LONGEST_REQUEST) + r#"{"reload":{"dryRun":true}}"#;
        assert_eq!(Request::parse(line.as_bytes()), Err(RequestError::TooLong));
        assert!(Request::parse(line.trim().as_bytes()).is_ok());
    }

    #[test]
    fn time_above_ten_years_is_rejected() {
        let line = br#"{"drain":{"lasts":{"seconds":4000000000},"lastResort":false}}"#;
        assert_eq!(Request::parse(line), Err(RequestError::Time));
    }
}
