//! What a session has prepared that needs a review at each run.

use std::collections::HashMap;

use bytes::Bytes;
use hoop_core::{Code, Denial};

use super::NAME;
use super::list::Wanted;

/// Most texts that are remembered; a session that prepares more is refused.
const MOST: usize = 4_096;

/// Texts by their hash, as they were when they were prepared: how a server reads a text is decided then.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    texts: HashMap<blake3::Hash, Run>,
    /// Whether one of them needs a review.
    asks: bool,
}

#[derive(Debug)]
enum Run {
    /// It waits for somebody's agreement.
    Asks(Wanted),
    /// It may run what was prepared before: EXECUTE, FETCH, MOVE.
    Others,
}

impl Prepared {
    /// Takes note of a text that is prepared.
    ///
    /// # Errors
    /// [`Code::LimitExceeded`].
    pub(super) fn note(&mut self, text: &Bytes, wanted: Option<&Wanted>, runs_prepared: bool) -> Result<(), Denial> {
        let run = match wanted {
            Some(wanted) => Run::Asks(wanted.clone()),
            None if runs_prepared => Run::Others,
            None => return Ok(()),
        };
        let hash = blake3::hash(text);
        if self.texts.len() >= MOST && !self.texts.contains_key(&hash) {
            let reason = format!("this session has prepared {MOST} statements that need a review or may run one");
            return Err(Denial::new(NAME, Code::LimitExceeded, reason).hint("use parameters, or connect again"));
        }
        self.asks |= wanted.is_some();
        let known = self.texts.entry(hash).or_insert(Run::Others);
        // Prepared under other settings it may have been another statement: a review that it needed once, it needs.
        if matches!(run, Run::Asks(_)) {
            *known = run;
        }
        Ok(())
    }

    /// Whose agreement a run of a prepared text needs; `begins` is false where the run goes on with what has begun, or nothing is
    /// known of what it is.
    ///
    /// # Errors
    /// The refusal of what could run something without its review.
    pub(super) fn run(&self, text: &Bytes, begins: bool) -> Result<Option<Wanted>, Denial> {
        if !self.asks {
            return Ok(None);
        }
        match self.texts.get(&blake3::hash(text)) {
            Some(Run::Asks(wanted)) => Ok(begins.then(|| wanted.clone())),
            Some(Run::Others) => Err(around()),
            None if !begins && text.starts_with(b"fetch all from ") => Err(around()),
            None => Ok(None),
        }
    }

    /// Judges a text that is to be run, and may run what was prepared before.
    ///
    /// # Errors
    /// The refusal, where that could be without its review.
    pub(super) fn check(&self, runs_prepared: bool) -> Result<(), Denial> {
        if runs_prepared && self.asks { Err(around()) } else { Ok(()) }
    }
}

fn around() -> Denial {
    let reason = "this session has prepared a statement that needs a review, which EXECUTE, FETCH and MOVE in SQL could run without";
    Denial::new(NAME, Code::StatementDenied, reason).hint("run what is prepared through your driver, or connect again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_once_needed_a_review_needs_it() {
        let wanted = Wanted { rule: "changes".to_owned(), group: "dba".to_owned(), hint: None };
        let (text, other) = (Bytes::from_static(b"delete from t"), Bytes::from_static(b"fetch all from \"p\""));
        let mut prepared = Prepared::default();
        prepared.note(&other, None, true).expect("room");
        assert_eq!(prepared.run(&other, true).expect("nothing to run"), None);
        prepared.note(&text, Some(&wanted), false).expect("room");
        prepared.note(&text, None, true).expect("room");
        assert_eq!(prepared.run(&text, true).expect("a review"), Some(wanted));
        assert_eq!(prepared.run(&text, false).expect("the rest of what has begun"), None);
        assert!(prepared.run(&other, true).is_err(), "which could run the first");
        assert!(prepared.run(&Bytes::from_static(b"fetch all from \"q\""), false).is_err());
        assert!(prepared.run(&Bytes::from_static(b"select 1"), true).expect("nobody asks").is_none());
        assert!(prepared.check(true).is_err() && prepared.check(false).is_ok());
    }
}
