//! Trackers of kind `process`: how many processes of a kind there are.
//!
//! One task, the [`Census`], knows the processes for all of them. It begins with a look at all, and goes
//! on by what the kernel tells; where the kernel tells nothing it looks again and again.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Level;
use vrrp_config::{Process, Which};
use vrrp_linux::processes::{self, Connector, Heard, News, Pid};

use super::{Reporter, watched};
use crate::log_writer::Log;

/// How long the kernel may take to answer a subscription. It answers at once, or not at all.
const ANSWER: Duration = Duration::from_millis(200);

/// The life of one tracker.
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

/// Whether so many are as many as there have to be, and in words.
fn judge(process: &Process, count: u32) -> (bool, String) {
    let name = match &process.which {
        Which::Name(name) => name.clone(),
        Which::CommandLine(words) => words.join(" "),
    };
    let found = match count {
        0 => format!("no process is {name}"),
        1 => format!("1 process is {name}"),
        count => format!("{count} processes are {name}"),
    };
    if count < process.at_least {
        (
            false,
            format!("{found}: there have to be {}", process.at_least),
        )
    } else if let Some(most) = process.at_most.filter(|most| count > *most) {
        (false, format!("{found}: there may be {most} at most"))
    } else {
        (true, found)
    }
}

/// How many there are, or why nobody knows.
type Count = Result<u32, String>;

/// The way to the task that knows all processes.
#[derive(Clone, Debug)]
pub(super) struct Census(mpsc::UnboundedSender<Question>);

/// Somebody who wants to know.
#[derive(Debug)]
struct Question {
    which: Which,
    interval: Duration,
    /// The processes that are meant.
    found: BTreeSet<Pid>,
    answers: watch::Sender<Count>,
}

impl Question {
    /// Looks at a process anew.
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
    /// Begins the task. It looks at nothing as long as nobody asks.
    pub(super) fn begin(log: Log) -> Self {
        let (questions, asked) = mpsc::unbounded_channel();
        tokio::spawn(count(asked, log));
        Self(questions)
    }

    /// Asks for the number of processes from now on. `None` if the task has ended.
    fn ask(&self, process: &Process) -> Option<watch::Receiver<Count>> {
        // What nobody has counted is no number of processes.
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

/// The task: as long as somebody asks, it hears of processes or looks at them.
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
                        format!("the kernel tells no more of processes: {error}"),
                    );
                }
            }
            Err(error) => {
                if !was_told {
                    was_told = true;
                    log.note(
                        Level::INFO,
                        format!(
                            "the kernel does not tell of processes here: {error}; looking into /proc \
                             again and again instead"
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

/// A connector on which the kernel really tells of processes.
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
    let nobody = |_| io::Error::other("it does not answer, as in a container");
    timeout(ANSWER, answer).await.map_err(nobody)??;
    Ok(connector)
}

/// Waits for news.
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

/// Answers by what the kernel tells, until nobody asks any more.
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

/// Answers by looking again and again, until nobody asks any more.
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

/// Answers all by a look at all processes.
fn look_at_all(questions: &mut [Question]) {
    let pids = match processes::all() {
        Ok(pids) => pids,
        Err(error) => {
            let reason = format!("cannot look at processes: /proc: {error}");
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
    fn the_number_of_processes_is_the_verdict() {
        let process = named("httpd");
        let judged = |count| judge(&process, count);
        let too_few = "no process is httpd: there have to be 1".to_owned();
        assert_eq!(judged(0), (false, too_few));
        assert_eq!(judged(1), (true, "1 process is httpd".to_owned()));
        assert_eq!(judged(2), (true, "2 processes are httpd".to_owned()));
        let too_many = "3 processes are httpd: there may be 2 at most".to_owned();
        assert_eq!(judged(3), (false, too_many));
    }

    /// Waits until so many are counted.
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

    /// By whichever way works here: the answers are the same.
    #[test]
    fn whoever_asks_is_told_when_a_process_begins_or_ends() {
        // Nobody else sleeps for exactly that long.
        let seconds = format!("86100.{}", std::process::id());
        let process = Process {
            which: Which::CommandLine(vec!["sleep".to_owned(), seconds.clone()]),
            ..named("")
        };
        block_on(async {
            let (log, _scribe) = crate::log_writer::start(false).unwrap();
            let census = Census::begin(log);
            let mut counts = census.ask(&process).unwrap();
            count_of(&mut counts, 0).await;
            let mut children = [sleep_with_name(&seconds), sleep_with_name(&seconds)];
            count_of(&mut counts, 2).await;
            // Who asks later is told of those that are there.
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
            // Nobody asked for a while, and then somebody does.
            let mut counts = census.ask(&process).unwrap();
            count_of(&mut counts, 0).await;
        });
    }
}
