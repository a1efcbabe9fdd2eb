//! Worker: a thread for requests to the kernel that are too slow for the node. The node changes a state, and
//! the thread does what the state asks for.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Thread and its state. Dropping it waits until the thread has ended.
#[derive(Debug)]
pub(super) struct Worker<S> {
    shared: Arc<Shared<S>>,
    thread: Option<JoinHandle<()>>,
}

/// State of a worker, as its thread sees it.
#[derive(Debug, Default)]
pub(super) struct Shared<S> {
    state: Mutex<State<S>>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct State<S> {
    work: S,
    is_last: bool,
}

/// Next step of a thread.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    /// Do this.
    Do(T),
    /// Wait for a change, at most this long.
    Wait(Option<Duration>),
    /// End the thread.
    End,
}

impl<S: Default + Send + 'static> Worker<S> {
    /// Starts the thread, which runs `toil`.
    ///
    /// # Errors
    /// If the process may start no more threads.
    pub(super) fn start(
        name: &str,
        toil: impl FnOnce(&Shared<S>) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::<Shared<S>>::default();
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || toil(&own))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }
}

impl<S> Worker<S> {
    /// Changes the state and wakes the thread.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut S) -> R) -> R {
        let result = change(&mut self.shared.lock().work);
        self.shared.news.notify_one();
        result
    }

    /// Reads the state.
    pub(super) fn look<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.shared.lock().work)
    }
}

impl<S> Drop for Worker<S> {
    fn drop(&mut self) {
        self.shared.lock().is_last = true;
        self.shared.news.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl<S> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        // The state is consistent whenever the lock is released.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `decide` has something to do, and returns it. `None` at the end. `decide` is also given the
    /// present time, and whether no further change will come.
    pub(super) fn next<T>(
        &self,
        mut decide: impl FnMut(&mut S, Instant, bool) -> Next<T>,
    ) -> Option<T> {
        let mut state = self.lock();
        loop {
            let is_last = state.is_last;
            match decide(&mut state.work, Instant::now(), is_last) {
                Next::Do(step) => return Some(step),
                Next::End => return None,
                Next::Wait(Some(span)) => {
                    let waited = self.news.wait_timeout(state, span);
                    (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                }
                Next::Wait(None) => {
                    let waited = self.news.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Takes in the result of a step. `record` is also given whether no further change will come.
    pub(super) fn record<R>(&self, record: impl FnOnce(&mut S, bool) -> R) -> R {
        let mut state = self.lock();
        let is_last = state.is_last;
        record(&mut state.work, is_last)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn worker_takes_changes_in_order_and_ends_after_the_last() {
        let (done, results) = channel();
        let worker = Worker::<Vec<u32>>::start("worker", move |shared| {
            let next = |work: &mut Vec<u32>, _: Instant, is_last| match work.is_empty() {
                false => Next::Do(work.remove(0)),
                true if is_last => Next::End,
                true => Next::Wait(None),
            };
            while let Some(number) = shared.next(next) {
                done.send(number).expect("the receiver waits");
            }
        })
        .expect("a thread can be started");
        worker.change(|work| work.push(1));
        worker.change(|work| work.extend([2, 3]));
        drop(worker);
        assert_eq!(results.iter().collect::<Vec<_>>(), [1, 2, 3]);
    }
}
