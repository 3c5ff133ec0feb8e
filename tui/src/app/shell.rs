//! What a person can paste into a shell instead.

use domain::job::Verb as Wish;
use queue::operate::Command;

/// A word as a shell takes it literally, whatever is in it.
pub fn quote(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@%+,".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The command line that does the same; none where `spool` has no such command.
pub fn line(command: &Command) -> Option<String> {
    Some(match command {
        Command::Retry(job) => format!("spool job retry {job}"),
        Command::RunNow(job) => format!("spool job run-now {job}"),
        Command::Cancel(job) => format!("spool job cancel {job}"),
        Command::Discard(job) => format!("spool job discard {job}"),
        Command::Snooze(job, wait) => format!("spool job snooze {job} --for {}s", wait.as_secs()),
        Command::Pause(queue) => format!("spool queue pause {}", quote(queue)),
        Command::Resume(queue) => format!("spool queue resume {}", quote(queue)),
        Command::Drain(worker) => format!("spool worker drain {worker}"),
        Command::Limit(queue, limit) => {
            let mut line = format!("spool queue limit {}", quote(queue));
            for (option, most) in [("--max-running", limit.max_running), ("--max-per-key", limit.key_max)] {
                line.extend(most.map(|most| format!(" {option} {most}")));
            }
            line
        }
        Command::Priority(..)
        | Command::Delete(_)
        | Command::Recording(
            _,
            Wish::Recheck | Wish::Remux | Wish::Reopen | Wish::AcceptGaps | Wish::Cancel | Wish::Erase,
        ) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word_and_runs_nothing() {
        for (word, quoted) in [
            ("mux", "mux"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$(reboot)", "'$(reboot)'"),
            ("it's", "'it'\\''s'"),
            ("`x`;y", "'`x`;y'"),
        ] {
            assert_eq!(quote(word), quoted);
        }
        assert_eq!(line(&Command::Pause("a;b".to_owned())).as_deref(), Some("spool queue pause 'a;b'"));
    }
}
