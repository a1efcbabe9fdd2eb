//! Cache of a slow answer, such as the addresses of a name: requested in a task of its own, valid
//! for a while, and then requested again.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::time_limit::TimeLimit;

/// Time for which an answer is valid.
const FRESH: Duration = Duration::from_secs(60);

/// The same after a failure to use the answer, or to get one.
const FRESH_IN_DOUBT: Duration = Duration::from_secs(5);

/// Cached answer.
pub(super) struct Known<T> {
    /// Last successful answer.
    value: Option<T>,
    /// Reason why there is no newer answer.
    error: Option<String>,
    asked: Option<Instant>,
    question: Option<JoinHandle<Result<T, String>>>,
    is_doubted: bool,
}

impl<T: Send + 'static> Known<T> {
    pub(super) const fn nothing() -> Self {
        Self {
            value: None,
            error: None,
            asked: None,
            question: None,
            is_doubted: false,
        }
    }

    /// Returns the last answer. An old one is requested again by `ask`, but the call waits for the
    /// new answer only if there is no old one. At most one request is pending.
    ///
    /// # Errors
    ///
    /// The reason why there is no answer. `what` describes a request that got no answer in time.
    pub(super) async fn get<F>(
        &mut self,
        time_limit: &TimeLimit,
        what: &str,
        ask: impl FnOnce() -> F,
    ) -> Result<&T, String>
    where
        F: Future<Output = Result<T, String>> + Send + 'static,
    {
        if self.question.is_none() && self.is_stale() {
            self.asked = Some(Instant::now());
            self.is_doubted = false;
            self.question = Some(tokio::spawn(ask()));
        }
        if let Some(question) = &mut self.question
            && (self.value.is_none() || question.is_finished())
        {
            let answer = time_limit.wait(question, || what.to_owned()).await?;
            self.question = None;
            match answer {
                Ok(Ok(value)) => {
                    self.value = Some(value);
                    self.error = None;
                }
                Ok(Err(error)) => self.error = Some(error),
                Err(error) => self.error = Some(error.to_string()),
            }
        }
        let error = || self.error.clone().unwrap_or_default();
        self.value.as_ref().ok_or_else(error)
    }

    /// Marks the answer as doubtful, because its use failed: it is requested again sooner.
    pub(super) const fn doubt(&mut self) {
        self.is_doubted = true;
    }

    fn is_stale(&self) -> bool {
        let is_in_doubt = self.is_doubted || self.error.is_some();
        let fresh = if is_in_doubt { FRESH_IN_DOUBT } else { FRESH };
        self.asked.is_none_or(|asked| asked.elapsed() >= fresh)
    }
}

#[cfg(test)]
mod tests;
