//! Header fields, as a list.
//!
//! Requests and answers have a handful of them. A list is quicker to make and to look through than the hash map of the [`http`]
//! crate, and its code is 8 KB of wasm less; names stay text, which saves another 12 KB for telling which standard name each is.

use std::borrow::Cow;
use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// Header fields in the order in which they were added. Names have no case and are in lower case here; one may be there several times.
///
/// Converts from and into [`http::HeaderMap`](HeaderMap), which `axum`, `tower` and others speak. Two are equal if they have the same
/// fields in the same order.
///
/// ```
/// use durable_agents_core::http::{HeaderValue, Headers, header};
///
/// let mut headers = Headers::new();
/// headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
/// headers.append(header::VARY, HeaderValue::from_static("origin"));
/// headers.append(header::VARY, HeaderValue::from_static("accept"));
/// assert_eq!(headers.get("Content-Type").and_then(|value| value.to_str().ok()), Some("text/html"));
/// assert_eq!(headers.get_all(header::VARY).count(), 2);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    fields: Vec<(Name, HeaderValue)>,
}

/// A name in lower case: text, as the list of standard names that [`HeaderName`] keeps is 2.5 KB of wasm for everyone who asks one for its
/// text.
type Name = Cow<'static, str>;

impl Headers {
    /// No fields.
    pub const fn new() -> Self {
        Self { fields: Vec::new() }
    }

    /// No fields, and room for so many.
    #[must_use]
    pub fn with_capacity(count: usize) -> Self {
        Self { fields: Vec::with_capacity(count) }
    }

    /// One field; the name in lower case and fit for a header.
    pub(super) fn of(name: &'static str, value: HeaderValue) -> Self {
        Self { fields: vec![(name.into(), value)] }
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The first value of that name.
    pub fn get(&self, name: impl AsRef<str>) -> Option<&HeaderValue> {
        self.fields.iter().find(|(own, _)| is_same(own, name.as_ref())).map(|(_, value)| value)
    }

    /// All values of that name.
    pub fn get_all<'h>(&'h self, name: impl AsRef<str> + 'h) -> impl Iterator<Item = &'h HeaderValue> {
        self.fields.iter().filter(move |(own, _)| is_same(own, name.as_ref())).map(|(_, value)| value)
    }

    /// Whether a field has that name.
    pub fn contains_key(&self, name: impl AsRef<str>) -> bool {
        self.get(name).is_some()
    }

    /// Adds a field, in the place of all that had its name.
    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        self.put(text_of(&name), value);
    }

    /// The same with a name in lower case that is fit for a header.
    pub(crate) fn put(&mut self, name: impl Into<Name>, value: HeaderValue) {
        let name = name.into();
        self.remove(&name);
        self.fields.push((name, value));
    }

    /// Adds a field, beside those that have its name.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.fields.push((text_of(&name), value));
    }

    /// The same for a name that the platform has found fit. For adapters.
    pub fn append_platform(&mut self, name: &str, value: HeaderValue) {
        self.fields.push((name.to_ascii_lowercase().into(), value));
    }

    /// Takes away all fields of that name.
    pub fn remove(&mut self, name: impl AsRef<str>) {
        self.fields.retain(|(own, _)| !is_same(own, name.as_ref()));
    }

    /// The same of several names.
    // Not a part of what every request runs through.
    #[inline(never)]
    pub(super) fn remove_all(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.remove(name));
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &HeaderValue)> {
        self.fields.iter().map(|(name, value)| (&**name, value))
    }

    /// The names of all fields, of one that is there several times as often.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| &**name)
    }

    /// Puts the fields of `others` in the place of those here that have their names.
    pub(super) fn overlay(&mut self, others: &Self) {
        self.fields.retain(|(own, _)| !others.contains_key(own));
        self.fields.extend_from_slice(&others.fields);
    }
}

fn is_same(own: &str, name: &str) -> bool {
    own.eq_ignore_ascii_case(name)
}

fn text_of(name: &HeaderName) -> Name {
    Cow::Owned(name.as_str().to_owned())
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Extend<(HeaderName, HeaderValue)> for Headers {
    /// [Inserts](Self::insert) each field.
    fn extend<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(&mut self, fields: I) {
        for (name, value) in fields {
            self.insert(name, value);
        }
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for Headers {
    /// [Inserts](Self::insert) each field.
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(fields: I) -> Self {
        let mut headers = Self::new();
        headers.extend(fields);
        headers
    }
}

impl From<HeaderMap> for Headers {
    fn from(map: HeaderMap) -> Self {
        // Of several values of one name only the first comes with the name.
        let mut last = None;
        let named = map.into_iter().filter_map(|(name, value)| {
            last = name.as_ref().map(text_of).or_else(|| last.take());
            Some((last.clone()?, value))
        });
        Self { fields: named.collect() }
    }
}

impl From<Headers> for HeaderMap {
    fn from(headers: Headers) -> Self {
        let mut map = Self::with_capacity(headers.len());
        for (name, value) in headers.fields {
            // All of them were names before, or are to the platform.
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                map.append(name, value);
            }
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, CONTENT_TYPE, VARY};

    use super::*;

    fn value(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    fn texts(headers: &Headers) -> Vec<(&str, &[u8])> {
        headers.iter().map(|(name, value)| (name, value.as_bytes())).collect()
    }

    #[test]
    fn names_have_no_case_and_may_repeat() {
        let mut headers = Headers::new();
        headers.append(VARY, value("a"));
        headers.append(CONTENT_TYPE, value("text/html"));
        headers.append(VARY, value("b"));
        assert_eq!((headers.get("Vary"), headers.get(VARY), headers.get("very")), (Some(&value("a")), Some(&value("a")), None));
        assert_eq!(headers.get_all("VARY").collect::<Vec<_>>(), [&value("a"), &value("b")]);
        headers.insert(VARY, value("c"));
        assert_eq!(texts(&headers), [("content-type", &b"text/html"[..]), ("vary", b"c")]);
        headers.remove("Content-TYPE");
        assert_eq!((headers.len(), headers.contains_key(CONTENT_TYPE), headers.contains_key("vary")), (1, false, true));
    }

    #[test]
    fn the_map_of_http_holds_the_same() {
        let mut headers = Headers::new();
        headers.append(VARY, value("a"));
        headers.append_platform("Accept", value("*/*"));
        headers.append(VARY, value("b"));
        assert_eq!(texts(&headers), [("vary", &b"a"[..]), ("accept", b"*/*"), ("vary", b"b")]);
        let map = HeaderMap::from(headers);
        assert_eq!((map.len(), map.get_all(VARY).iter().count()), (3, 2));
        let mut again = Headers::from(map);
        assert_eq!(again.get_all(VARY).collect::<Vec<_>>(), [&value("a"), &value("b")]);
        assert_eq!((again.len(), again.get(ACCEPT)), (3, Some(&value("*/*"))));
        again.extend([(VARY, value("c"))]);
        assert_eq!(again.get_all(VARY).collect::<Vec<_>>(), [&value("c")]);
    }
}
