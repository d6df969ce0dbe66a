//! Server-sent events, as they arrive: cut anywhere.
//!
//! Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>. `id` and `retry` are for
//! reconnecting, which nobody does here.

use std::collections::VecDeque;

/// Most bytes of a line, and of the data of one event.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// A line or an event is longer than [`MAX_BYTES`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// Its name; empty if it has none.
    pub(super) kind: String,
    /// Its data lines, joined by line feeds.
    pub(super) data: String,
}

/// Takes a stream apart. An event that its stream does not finish is none.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    // The last line ended with a carriage return: a line feed after it belongs to the same end.
    after_return: bool,
    is_begun: bool,
    event: Event,
    has_data: bool,
    ready: VecDeque<Event>,
}

impl Events {
    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut rest = bytes;
        if std::mem::take(&mut self.after_return) {
            rest = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, ending) = rest.split_at(end);
            self.extend(line)?;
            self.end_line()?;
            rest = ending.strip_prefix(b"\r\n").or_else(|| ending.get(1..)).unwrap_or_default();
            self.after_return = ending == b"\r";
        }
        self.extend(rest)
    }

    /// The next event that is complete.
    pub(super) fn pop(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if bytes.len() > MAX_BYTES.saturating_sub(self.line.len()) {
            return Err(TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), TooLong> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line =
            if std::mem::replace(&mut self.is_begun, true) { &line } else { line.strip_prefix('\u{feff}').unwrap_or(&line) };
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                self.ready.push_back(event);
            }
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                // The line feed is a byte of the data as well: without it, empty lines would add up to any size.
                let feed = if std::mem::replace(&mut self.has_data, true) { "\n" } else { "" };
                if feed.len() + value.len() > MAX_BYTES.saturating_sub(self.event.data.len()) {
                    return Err(TooLong);
                }
                self.event.data.push_str(feed);
                self.event.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.event.kind),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut events = Events::default();
        for piece in pieces {
            events.push(piece).expect("nothing here is too long");
        }
        std::iter::from_fn(|| events.pop()).map(|event| (event.kind, event.data)).collect()
    }

    #[test]
    fn streams_are_taken_apart_wherever_they_are_cut() {
        for (text, expected) in [
            ("data: a\n\n", vec![("", "a")]),
            ("data:a\r\n\r\ndata:  b\r\r", vec![("", "a"), ("", " b")]),
            ("event: error\ndata: {\ndata: }\n\n", vec![("error", "{\n}")]),
            (": comment\n\nid: 7\nretry: 1\n\ndata\n\n", vec![("", "")]),
            ("event: lonely\n\ndata: x\n\n", vec![("", "x")]),
            ("\u{feff}data: é🦀\n\n\n\n", vec![("", "é🦀")]),
            ("data: a\n\ndata: unfinished\n", vec![("", "a")]),
            ("unknown\nda ta: x\ndata: y\r\n\r\n", vec![("", "y")]),
            ("", vec![]),
        ] {
            let expected: Vec<_> = expected.iter().map(|(kind, data)| ((*kind).to_owned(), (*data).to_owned())).collect();
            assert_eq!(all(&[text.as_bytes()]), expected, "{text:?} at once");
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(all(&bytes), expected, "{text:?} byte by byte");
            for at in 0..=text.len() {
                let (head, tail) = text.as_bytes().split_at(at);
                assert_eq!(all(&[head, b"", tail]), expected, "{text:?} cut at {at}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        assert_eq!(all(&[b"data: \xff\xfe\n\n"]), [(String::new(), "\u{fffd}\u{fffd}".to_owned())]);
    }

    #[test]
    fn a_line_or_an_event_without_end_is_refused() {
        let mut events = Events::default();
        assert_eq!(events.push(&vec![b'x'; MAX_BYTES]), Ok(()));
        assert_eq!(events.push(b"x"), Err(TooLong));

        let mut events = Events::default();
        let line = format!("data: {}\n", "x".repeat(MAX_BYTES / 2 + 1));
        assert_eq!(events.push(line.as_bytes()), Ok(()));
        assert_eq!(events.push(line.as_bytes()), Err(TooLong));

        let mut events = Events::default();
        assert_eq!(events.push("data\n".repeat(MAX_BYTES + 1).as_bytes()), Ok(()));
        assert_eq!(events.push(b"data\n"), Err(TooLong), "line feeds alone fill it");
    }
}
