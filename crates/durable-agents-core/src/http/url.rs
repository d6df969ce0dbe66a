//! Just enough of a URL.
//!
//! The platform hands over URLs that it has parsed and normalised already, so splitting is all that is left to do. The `url`
//! crate would do it again and bring its IDNA tables: 84 KB gzip of wasm.

use std::borrow::Cow;
use std::fmt;

/// A URL, split but not decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    text: String,
    path: usize,
    query: Option<usize>,
    end: usize,
}

impl Url {
    /// Splits `text`. A text without a scheme is read as a path of `https://agent`.
    pub fn parse(text: &str) -> Self {
        let (text, authority) = match authority_of(text) {
            Some(authority) => (text.to_owned(), authority),
            None => {
                let (origin, slash) = ("https://agent", if text.starts_with('/') { "" } else { "/" });
                ([origin, slash, text].concat(), origin.len())
            }
        };
        let path = start_of_path(&text, authority);
        let end_of_path = end_of_path(&text, path);
        let end = find(&text, end_of_path, |byte| byte == b'#');
        Self { text, path, query: (end > end_of_path).then_some(end_of_path), end }
    }

    /// The path of a complete URL, still percent-encoded, without a copy of anything; empty if there is none.
    pub fn path_of(url: &str) -> &str {
        let Some(authority) = authority_of(url) else { return "" };
        let path = start_of_path(url, authority);
        url.get(path..end_of_path(url, path)).unwrap_or_default()
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port: `https://example.com`.
    pub fn origin(&self) -> &str {
        self.text.get(..self.path).unwrap_or_default()
    }

    /// The path, still percent-encoded; `/` if there is none.
    pub fn path(&self) -> &str {
        match self.text.get(self.path..self.query.unwrap_or(self.end)) {
            None | Some("") => "/",
            Some(path) => path,
        }
    }

    /// The query without its `?`, still percent-encoded.
    pub fn query(&self) -> Option<&str> {
        self.query.and_then(|at| self.text.get(at + 1..self.end))
    }

    /// The first query parameter of that name, decoded.
    pub fn query_param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// All query parameters in order, decoded.
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.query().unwrap_or_default().as_bytes())
    }
}

/// Where the host begins in a URL that has a scheme.
fn authority_of(text: &str) -> Option<usize> {
    // Nearly all; as arrays they are compared in one piece.
    if text.as_bytes().first_chunk() == Some(b"https://") {
        return Some("https://".len());
    }
    if text.as_bytes().first_chunk() == Some(b"http://") {
        return Some("http://".len());
    }
    let (scheme, rest) = text.split_once(':')?;
    (rest.starts_with("//") && !scheme.contains(['/', '?', '#'])).then_some(scheme.len() + "://".len())
}

fn start_of_path(text: &str, authority: usize) -> usize {
    find(text, authority, |byte| matches!(byte, b'/' | b'?' | b'#'))
}

fn end_of_path(text: &str, path: usize) -> usize {
    find(text, path, |byte| matches!(byte, b'?' | b'#'))
}

/// Where the first such byte from `start` on is, or the end. Every request is looked at, and `str::find` takes several times as long for
/// a text as short as a URL.
fn find(text: &str, start: usize, is_wanted: impl Fn(u8) -> bool) -> usize {
    let rest = text.as_bytes().get(start..).unwrap_or_default();
    start + rest.iter().position(|&byte| is_wanted(byte)).unwrap_or(rest.len())
}

impl fmt::Debug for Url {
    // Queries carry tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_without_decoding() {
        for (text, origin, path, query) in [
            ("https://h/a%20b/c?x=1#f", "https://h", "/a%20b/c", Some("x=1")),
            ("http://h:80", "http://h:80", "/", None),
            ("http://h?x=1", "http://h", "/", Some("x=1")),
            ("/p?u=http://x", "https://agent", "/p", Some("u=http://x")),
            ("p", "https://agent", "/p", None),
            ("http://h/p?a#?b", "http://h", "/p", Some("a")),
            ("http://h/#/x?y", "http://h", "/", None),
            ("", "https://agent", "/", None),
        ] {
            let url = Url::parse(text);
            assert_eq!((url.origin(), url.path(), url.query()), (origin, path, query), "{text}");
            let own_path = Url::path_of(url.as_str());
            assert_eq!(if own_path.is_empty() { "/" } else { own_path }, path, "{text}");
        }
    }

    #[test]
    fn query_parameters_are_decoded() {
        let url = Url::parse("https://h/?name=J%C3%BCrgen+A&empty=&name=second&broken=%zz");
        assert_eq!(url.query_param("name").as_deref(), Some("Jürgen A"));
        assert_eq!(url.query_param("empty").as_deref(), Some(""));
        assert_eq!(url.query_param("broken").as_deref(), Some("%zz"));
        assert_eq!(url.query_param("none"), None);
    }
}
