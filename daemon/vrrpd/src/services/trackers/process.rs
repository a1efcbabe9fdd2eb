//! Trackers of kind `process`: the number of processes that match.
//!
//! One task, the [`Census`], counts for all trackers. It begins with a scan of /proc, and continues
//! by the events of the process connector; where the kernel sends none, it scans /proc again and
//! again.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Level;
use vrrp_config::{Process, Which};
use vrrp_linux::processes::{self, Connector, Heard, News, Pid};

use super::{Reporter, watched};
use crate::log_writer::Log;

/// Time limit for the kernel's answer to a subscription. It answers at once, or not.
const ANSWER: Duration = Duration::from_millis(200);

/// Task of one tracker.
pub(super) async fn follow(process: Process, census: Census, mut reporter: Reporter) {
    let Some(mut counts) = census.ask(&process) else {
        return;
    };
    while counts.changed().await.is_ok() {
        let count = counts.borrow_and_update().clone();
        let (up, detail) = match count {
            Ok(count) => judge(&process, count),
            Err(reason) => (false, reason),
        };
        if reporter.report(up, detail).is_err() {
            return;
        }
    }
}

/// Verdict of a number of processes, and its reason.
fn judge(process: &Process, count: u32) -> (bool, String) {
    let name = match &process.which {
        Which::Name(name) => name.clone(),
        Which::CommandLine(words) => words.join(" "),
    };
    let found = match count {
        0 => format!("no process matches {name}"),
        1 => format!("1 process matches {name}"),
        count => format!("{count} processes match {name}"),
    };
    if count < process.at_least {
        (
            false,
            format!("{found}: expected at least {}", process.at_least),
        )
    } else if let Some(most) = process.at_most.filter(|most| count > *most) {
        (false, format!("{found}: expected at most {most}"))
    } else {
        (true, found)
    }
}

/// Number of matching processes, or the reason why it is unknown.
type Count = Result<u32, String>;

/// Handle of the task that counts processes.
#[derive(Clone, Debug)]
pub(super) struct Census(mpsc::UnboundedSender<Question>);

/// Request of one tracker for counts.
#[derive(Debug)]
struct Question {
    which: Which,
    interval: Duration,
    /// Processes that match.
    found: BTreeSet<Pid>,
    answers: watch::Sender<Count>,
}

impl Question {
    /// Checks whether a process matches.
    fn look(&mut self, pid: Pid, process: Option<&processes::Process>) {
        let is_meant = process.is_some_and(|process| match &self.which {
            Which::Name(name) => process.is_called(name),
            Which::CommandLine(words) => process.has_command_line(words),
        });
        match is_meant {
            true => self.found.insert(pid),
            false => self.found.remove(&pid),
        };
    }

    fn answer(&self) {
        let count = u32::try_from(self.found.len()).unwrap_or(u32::MAX);
        self.say(Ok(count));
    }

    fn say(&self, count: Count) {
        self.answers.send_if_modified(|known| {
            let is_news = *known != count;
            *known = count;
            is_news
        });
    }
}

impl Census {
    /// Starts the task. It scans nothing before the first request. It has its own thread, because
    /// a read in /proc waits for a lock of the process that is read.
    pub(super) fn begin(log: Log) -> Self {
        let (questions, asked) = mpsc::unbounded_channel();
        spawn_blocking(move || Handle::current().block_on(count(asked, log)));
        Self(questions)
    }

    /// Requests the number of processes from now on. `None` if the task has ended.
    fn ask(&self, process: &Process) -> Option<watch::Receiver<Count>> {
        // An error, so that no tracker takes the initial value for a count.
        let (answers, counts) = watch::channel(Err(String::new()));
        let question = Question {
            which: process.which.clone(),
            interval: process.interval,
            found: BTreeSet::new(),
            answers,
        };
        self.0.send(question).ok()?;
        Some(counts)
    }
}

/// The task: receives process events or scans /proc while there are requests.
async fn count(mut asked: mpsc::UnboundedReceiver<Question>, log: Log) {
    let mut was_told = false;
    while let Some(question) = asked.recv().await {
        let mut questions = vec![question];
        match subscribe().await {
            Ok(connector) => {
                let error = listen(connector, &mut questions, &mut asked).await;
                if let Err(error) = error {
                    log.note(
                        Level::WARN,
                        format!("process connector failed: {error}; scanning /proc instead"),
                    );
                }
            }
            Err(error) => {
                if !was_told {
                    was_told = true;
                    log.note(
                        Level::INFO,
                        format!(
                            "process connector not available: {error}; scanning /proc again and again \
                             instead"
                        ),
                    );
                }
            }
        }
        if !questions.is_empty() {
            poll(&mut questions, &mut asked).await;
        }
    }
}

/// A connector with a subscription that the kernel has confirmed.
async fn subscribe() -> io::Result<AsyncFd<Connector>> {
    let mut connector = watched(Connector::subscribe()?)?;
    let answer = async {
        loop {
            let (news, _) = hear(&mut connector).await?;
            let answer = news.iter().find_map(|news| match news {
                News::Subscribed(answer) => Some(*answer),
                News::Began(_) | News::Ended(_) => None,
            });
            if let Some(answer) = answer {
                return answer.map_err(io::Error::from_raw_os_error);
            }
        }
    };
    let silent = |_| io::Error::other("no answer from the kernel, as in a container");
    timeout(ANSWER, answer).await.map_err(silent)??;
    Ok(connector)
}

/// Waits for events.
async fn hear(connector: &mut AsyncFd<Connector>) -> io::Result<(Vec<News>, Heard)> {
    let mut news = Vec::new();
    loop {
        let mut ready = connector.readable_mut().await?;
        let heard = ready.get_inner_mut().read(&mut news)?;
        ready.clear_ready();
        if !news.is_empty() || heard == Heard::Overrun {
            return Ok((news, heard));
        }
    }
}

/// Counts by the kernel's events until no request is left.
async fn listen(
    mut connector: AsyncFd<Connector>,
    questions: &mut Vec<Question>,
    asked: &mut mpsc::UnboundedReceiver<Question>,
) -> io::Result<()> {
    look_at_all(questions);
    loop {
        tokio::select! {
            question = asked.recv() => {
                let Some(question) = question else {
                    questions.clear();
                    return Ok(());
                };
                questions.push(question);
                look_at_all(questions);
            }
            heard = hear(&mut connector) => {
                let (news, heard) = heard?;
                for news in news {
                    let (pid, process) = match news {
                        News::Began(pid) => (pid, processes::Process::of(pid)),
                        News::Ended(pid) => (pid, None),
                        News::Subscribed(_) => continue,
                    };
                    for question in &mut *questions {
                        question.look(pid, process.as_ref());
                    }
                }
                if heard == Heard::Overrun {
                    look_at_all(questions);
                }
                questions.iter().for_each(Question::answer);
            }
        }
        questions.retain(|question| !question.answers.is_closed());
        if questions.is_empty() {
            return Ok(());
        }
    }
}

/// Counts by periodic scans until no request is left.
async fn poll(questions: &mut Vec<Question>, asked: &mut mpsc::UnboundedReceiver<Question>) {
    while !questions.is_empty() {
        let begun = Instant::now();
        look_at_all(questions);
        let shortest = questions.iter().map(|question| question.interval).min();
        let Some(shortest) = shortest else { return };
        tokio::select! {
            question = asked.recv() => match question {
                Some(question) => questions.push(question),
                None => return questions.clear(),
            },
            () = sleep_until(begun + shortest) => {}
        }
        questions.retain(|question| !question.answers.is_closed());
    }
}

/// Answers all requests by one scan of /proc.
fn look_at_all(questions: &mut [Question]) {
    let pids = match processes::all() {
        Ok(pids) => pids,
        Err(error) => {
            let reason = format!("cannot scan /proc: {error}");
            return questions.iter().for_each(|q| q.say(Err(reason.clone())));
        }
    };
    questions
        .iter_mut()
        .for_each(|question| question.found.clear());
    for pid in pids {
        let process = processes::Process::of(pid);
        for question in &mut *questions {
            question.look(pid, process.as_ref());
        }
    }
    questions.iter().for_each(Question::answer);
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;
    use crate::testing::{PATIENCE, block_on};

    fn named(name: &str) -> Process {
        Process {
            which: Which::Name(name.to_owned()),
            at_least: 1,
            at_most: Some(2),
            interval: Duration::from_millis(20),
        }
    }

    #[test]
    fn number_of_processes_is_the_verdict() {
        let process = named("httpd");
        let judged = |count| judge(&process, count);
        let too_few = "no process matches httpd: expected at least 1".to_owned();
        assert_eq!(judged(0), (false, too_few));
        assert_eq!(judged(1), (true, "1 process matches httpd".to_owned()));
        assert_eq!(judged(2), (true, "2 processes match httpd".to_owned()));
        let too_many = "3 processes match httpd: expected at most 2".to_owned();
        assert_eq!(judged(3), (false, too_many));
    }

    /// Waits until `wanted` processes are counted.
    async fn count_of(counts: &mut watch::Receiver<Count>, wanted: u32) {
        let arrives = counts.wait_for(|count| *count == Ok(wanted));
        let arrived = timeout(PATIENCE, arrives).await;
        arrived
            .unwrap_or_else(|_| panic!("never {wanted}"))
            .unwrap();
    }

    fn sleep_with_name(seconds: &str) -> Child {
        Command::new("sleep").arg(seconds).spawn().unwrap()
    }

    /// With the connector or by scans, whichever works here: the counts are the same.
    #[test]
    fn counts_follow_start_and_end_of_processes() {
        // No other process sleeps for exactly this time.
        let seconds = format!("86100.{}", std::process::id());
        let process = Process {
            which: Which::CommandLine(vec!["sleep".to_owned(), seconds.clone()]),
            ..named("")
        };
        block_on(async {
            let log = crate::testing::log();
            let census = Census::begin(log);
            let mut counts = census.ask(&process).unwrap();
            count_of(&mut counts, 0).await;
            let mut children = [sleep_with_name(&seconds), sleep_with_name(&seconds)];
            count_of(&mut counts, 2).await;
            // A later request counts the existing processes.
            let mut others = census.ask(&process).unwrap();
            count_of(&mut others, 2).await;
            children[0].kill().unwrap();
            count_of(&mut counts, 1).await;
            count_of(&mut others, 1).await;
            children[1].kill().unwrap();
            count_of(&mut counts, 0).await;
            for child in &mut children {
                child.wait().unwrap();
            }
            drop((counts, others));
            // A request after a time without any.
            let mut counts = census.ask(&process).unwrap();
            count_of(&mut counts, 0).await;
        });
    }
}
