//! Answers.

use serde::{Deserialize, Serialize};

/// Answer of the daemon to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Whether the request was carried out.
    pub done: bool,
    /// Effects, for standard output.
    #[serde(default)]
    pub lines: Vec<String>,
    /// Problems, for standard error: the reasons why the request was not carried out, or warnings.
    #[serde(default)]
    pub problems: Vec<String>,
}

impl Answer {
    /// Answer to a request that was not carried out.
    pub fn refused(problem: impl ToString) -> Self {
        Self {
            problems: vec![problem.to_string()],
            ..Self::default()
        }
    }

    /// Parses the line of a daemon.
    ///
    /// # Errors
    /// If the line is no answer.
    pub fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// The answer as a line.
    pub fn line(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        text + "\n"
    }
}
