//! What memory knows of the logs, so that a frame need not ask the database for its number, nor whether anybody wants it.

use std::cell::RefCell;

/// Most logs that memory knows anything of. With more of them in use at a time, some ask the database.
const MAX_SPANS: usize = 32;

/// Where a frame stands in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) seq: u64,
    /// What all earlier frames took together.
    pub(super) start_bytes: u64,
    pub(super) at_ms: u64,
}

impl Mark {
    /// Whether it is in no respect before `least`.
    pub(super) fn is_within(&self, least: &Self) -> bool {
        self.seq >= least.seq && self.start_bytes >= least.start_bytes && self.at_ms >= least.at_ms
    }
}

/// What there is in a log that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The oldest frame. Of its time, once others were deleted, no more is known than that of the last of them: where the clock has
    /// gone back in between, it is deleted that much later.
    pub(super) oldest: Mark,
    pub(super) newest: Mark,
    pub(super) end_bytes: u64,
}

/// Whether anybody wants what is in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// Nobody has asked yet, or not since it was cleared: there is no epoch.
    Never,
    /// Somebody resumes, or did when it was last looked.
    Present,
    /// Nobody does; a frame has found that first at this time, in Unix milliseconds.
    AloneSince(u64),
}

/// What memory knows of one log; each may be unknown.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    span: Option<Span>,
    interest: Option<Interest>,
}

/// A cache of the database, which knows something or does not: it is forgotten before anything is written, and kept again when all of
/// that has succeeded.
#[derive(Default)]
pub(crate) struct Spans(RefCell<Vec<(String, Known)>>);

impl Spans {
    pub(super) fn get(&self, log: &str) -> Option<Span> {
        self.known(log)?.span
    }

    pub(super) fn keep(&self, log: &str, span: Span) {
        self.learn(log, |known| known.span = Some(span));
    }

    pub(super) fn forget(&self, log: &str) {
        self.unlearn(log, |known| known.span = None);
    }

    pub(super) fn interest(&self, log: &str) -> Option<Interest> {
        self.known(log)?.interest
    }

    pub(super) fn keep_interest(&self, log: &str, interest: Interest) {
        self.learn(log, |known| known.interest = Some(interest));
    }

    pub(super) fn forget_interest(&self, log: &str) {
        self.unlearn(log, |known| known.interest = None);
    }

    fn known(&self, log: &str) -> Option<Known> {
        self.0.borrow().iter().find(|(key, _)| key == log).map(|(_, known)| *known)
    }

    fn learn(&self, log: &str, learn: impl FnOnce(&mut Known)) {
        let mut logs = self.0.borrow_mut();
        if let Some((_, known)) = logs.iter_mut().find(|(key, _)| key == log) {
            return learn(known);
        }
        if logs.len() >= MAX_SPANS {
            logs.remove(0);
        }
        let mut known = Known::default();
        learn(&mut known);
        logs.push((log.to_owned(), known));
    }

    fn unlearn(&self, log: &str, unlearn: impl FnOnce(&mut Known)) {
        // The key stays, as what was known mostly comes back a moment later.
        if let Some((_, known)) = self.0.borrow_mut().iter_mut().find(|(key, _)| key == log) {
            unlearn(known);
        }
    }

    /// After everything was deleted.
    pub(crate) fn forget_all(&self) {
        self.0.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_stays_small_however_many_logs_there_are() {
        let spans = Spans::default();
        let mark = |seq| Mark { seq, start_bytes: 0, at_ms: 0 };
        let span = |seq| Span { oldest: mark(seq), newest: mark(seq), end_bytes: 0 };
        for seq in 1..=1_000 {
            spans.keep(&seq.to_string(), span(seq));
            spans.forget("1000");
        }
        assert_eq!(spans.0.borrow().len(), MAX_SPANS);
        assert_eq!((spans.get("999"), spans.get("1000"), spans.get("1")), (Some(span(999)), None, None));
        spans.keep_interest("999", Interest::AloneSince(5));
        spans.keep_interest("new", Interest::Never);
        assert_eq!(
            (spans.0.borrow().len(), spans.interest("999"), spans.interest("new")),
            (MAX_SPANS, Some(Interest::AloneSince(5)), Some(Interest::Never))
        );
        spans.forget("999");
        assert_eq!((spans.get("999"), spans.interest("999")), (None, Some(Interest::AloneSince(5))));
        spans.forget_all();
        assert_eq!((spans.get("998"), spans.interest("999")), (None, None));
    }
}
