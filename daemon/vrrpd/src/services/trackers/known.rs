//! What is found out from others who may take their time, such as what a name stands for: asked for
//! beside the runtime, known for a while, and asked for again.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::time_limit::TimeLimit;

/// For how long something is taken for true.
const FRESH: Duration = Duration::from_secs(60);

/// The same for what is doubted, or could not be found out.
const FRESH_IN_DOUBT: Duration = Duration::from_secs(5);

/// Something that is found out.
pub(super) struct Known<T> {
    /// The last answer that was one.
    value: Option<T>,
    /// Why there is no newer one.
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

    /// What is known. Where that is old it is asked for by `ask`, but waited for only where nothing is
    /// known at all; a question that nobody answers is never put a second time beside itself.
    ///
    /// # Errors
    ///
    /// Why nothing is known; `what` is what a question that was not answered in time was about.
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

    /// It led nowhere: it may be something else by now.
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
