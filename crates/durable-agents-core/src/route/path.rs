//! Paths and names.

use std::iter;

use super::Route;

/// A Durable Object binding that a path may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    name: String,
    // Worked out once, as every request is compared with it.
    segment: String,
}

impl Binding {
    /// The binding of that name.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { segment: kebab(&name), name }
    }
}

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// Not an agent's path.
    Elsewhere,
    /// An agent's path with a class that nobody has.
    UnknownClass,
    /// An agent.
    Agent(Route),
}

/// Matches `/{prefix}/{class}/{name}[/rest…]`, and with a default agent `/{prefix}/{name}[/rest…]`.
///
/// Empty segments do not count; nothing is decoded. Of two bindings with one kebab form the later one is meant.
pub fn match_path(path: &str, prefix: &str, bindings: &[Binding], default_binding: Option<&str>) -> PathMatch {
    match find(path, prefix, bindings, default_binding) {
        Found::Elsewhere => PathMatch::Elsewhere,
        Found::UnknownClass => PathMatch::UnknownClass,
        Found::Agent { binding, name } => PathMatch::Agent(Route { binding: binding.to_owned(), name: name.to_owned() }),
    }
}

/// What a path is, without a copy of anything.
pub(super) enum Found<'p> {
    Elsewhere,
    UnknownClass,
    Agent { binding: &'p str, name: &'p str },
}

pub(super) fn find<'p>(path: &'p str, prefix: &str, bindings: &'p [Binding], default_binding: Option<&'p str>) -> Found<'p> {
    let mut segments = segments(path).filter(|segment| !segment.is_empty());
    // An empty segment of the prefix equals none of the path's.
    if !self::segments(prefix).all(|part| segments.next() == Some(part)) {
        return Found::Elsewhere;
    }
    let Some(class) = segments.next() else { return Found::Elsewhere };
    let bound = bindings.iter().rev().find(|binding| binding.segment == class);
    match (bound, segments.next(), default_binding) {
        (Some(binding), Some(name), _) => Found::Agent { binding: &binding.name, name },
        (Some(_), None, _) => Found::Elsewhere,
        (None, _, Some(binding)) => Found::Agent { binding, name: class },
        (None, Some(_), None) => Found::UnknownClass,
        (None, None, None) => Found::Elsewhere,
    }
}

/// What is between slashes. Every request is looked at, and `str::split` takes several times as long for a text as short as a path.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(path);
    iter::from_fn(move || next_segment(&mut rest))
}

// Once for all who look through a path.
#[inline(never)]
fn next_segment<'p>(rest: &mut Option<&'p str>) -> Option<&'p str> {
    let text = (*rest)?;
    let end = text.bytes().position(|byte| byte == b'/');
    *rest = end.and_then(|end| text.get(end + 1..));
    text.get(..end.unwrap_or(text.len()))
}

/// What follows the instance's name in a path that [`match_path`] matched: `history` in `/agents/chat-agent/lobby/history`.
///
/// Not decoded, without slashes at its ends, empty if nothing follows. In a path without the name, as of a request that was sent to
/// the instance by other means, it is the whole path. `class` is the kebab form.
///
/// A name may also be a segment of the prefix, of which nothing is known here but that it has one segment at least, or of what
/// follows. Behind the first segment, the first name that follows the class is meant, or else the first: the path of a default agent
/// has no class.
pub fn sub_path<'p>(path: &'p str, class: &str, name: &str) -> &'p str {
    let path = path.trim_matches('/');
    let (mut before, mut rest) = split(path);
    let (mut is_behind_prefix, mut first) = (false, None);
    while !rest.is_empty() {
        let (segment, after) = split(rest);
        if segment == name {
            if is_behind_prefix && before == class {
                return after;
            }
            first = first.or(Some(after));
        }
        (before, rest, is_behind_prefix) = (segment, after, true);
    }
    first.unwrap_or(path)
}

fn split(path: &str) -> (&str, &str) {
    path.split_once('/').map_or((path, ""), |(segment, after)| (segment, after.trim_start_matches('/')))
}

/// The name of a class or binding in a URL: `ChatRoom` and `CHAT_ROOM` become `chat-room`.
///
/// Other letters than ASCII's stay as they are: no URL has them, and the tables of their cases are large.
pub fn kebab(name: &str) -> String {
    let has = |is_wanted: fn(&u8) -> bool| name.as_bytes().iter().any(is_wanted);
    let is_loud = has(u8::is_ascii_uppercase) && !has(u8::is_ascii_lowercase);
    let mut kebab = Vec::with_capacity(name.len() + 4);
    // A dash at the beginning and one at the end are dropped.
    for (place, letter) in name.bytes().enumerate() {
        if !is_loud && place == 0 && letter == b'-' {
            continue;
        }
        if !is_loud && place > 0 && letter.is_ascii_uppercase() {
            kebab.push(b'-');
        }
        kebab.push(if letter == b'_' { b'-' } else { letter.to_ascii_lowercase() });
    }
    if !is_loud && kebab.last() == Some(&b'-') {
        kebab.pop();
    }
    // Bytes of other letters are as they were.
    String::from_utf8(kebab).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c10_names_become_kebab_case() {
        for (name, expected) in [
            ("Counter", "counter"),
            ("MyAgent", "my-agent"),
            ("ChatROOM", "chat-r-o-o-m"),
            ("Agent2", "agent2"),
            ("Agent2B", "agent2-b"),
            ("LOUD_AGENT", "loud-agent"),
            ("LOUD__AGENT", "loud--agent"),
            ("A", "a"),
            ("A1", "a1"),
            ("my_agent", "my-agent"),
            ("MyAgent_", "my-agent"),
            ("_Foo", "--foo"),
            ("My-Agent", "my--agent"),
            ("AIAssistant", "a-i-assistant"),
            ("MyAPIAgent", "my-a-p-i-agent"),
            ("TestOAuthAgent", "test-o-auth-agent"),
            ("MCP_OBJECT", "mcp-object"),
            ("LOUD_", "loud-"),
            ("AB", "ab"),
            ("aB", "a-b"),
            ("Chat_Room", "chat--room"),
            ("Foo__", "foo-"),
            ("__Foo", "---foo"),
            ("chat-room", "chat-room"),
            ("counter", "counter"),
            ("123", "123"),
            ("", ""),
            ("Ärger", "Ärger"),
        ] {
            assert_eq!(kebab(name), expected, "{name}");
        }
    }

    fn bindings() -> Vec<Binding> {
        ["Counter", "MyAgent", "LOUD_AGENT", "Chat_Room", "MyAgent2B", "AIAssistant"].map(Binding::new).to_vec()
    }

    fn agent(binding: &str, name: &str) -> PathMatch {
        PathMatch::Agent(Route { binding: binding.to_owned(), name: name.to_owned() })
    }

    #[test]
    fn c2_c3_c4_other_paths_are_not_ours() {
        for path in ["/", "", "/agents", "/agents/", "/agents/counter", "/agents/nope", "/other/counter/a", "/Agents/counter/a"]
        {
            assert_eq!(match_path(path, "agents", &bindings(), None), PathMatch::Elsewhere, "{path}");
        }
    }

    #[test]
    fn c5_c7_a_class_nobody_has() {
        for path in ["/agents/nope/a", "/agents/Counter/a", "/agents/ai-assistant/a"] {
            assert_eq!(match_path(path, "agents", &bindings(), None), PathMatch::UnknownClass, "{path}");
        }
    }

    #[test]
    fn c8_c9_c11_c15_a_binding_answers_under_its_kebab_form() {
        for (path, binding, name) in [
            ("/agents/counter/a", "Counter", "a"),
            ("/agents/my-agent/a", "MyAgent", "a"),
            ("/agents/loud-agent/a", "LOUD_AGENT", "a"),
            ("/agents/chat--room/a", "Chat_Room", "a"),
            ("/agents/my-agent2-b/a", "MyAgent2B", "a"),
            ("/agents/a-i-assistant/a", "AIAssistant", "a"),
            ("//agents///counter//a/", "Counter", "a"),
            ("/agents/counter/a/x/y", "Counter", "a"),
            ("/agents/counter/a%20b", "Counter", "a%20b"),
            ("/agents/counter/%F0%9F%A6%80", "Counter", "%F0%9F%A6%80"),
            ("/agents/counter/sub", "Counter", "sub"),
        ] {
            assert_eq!(match_path(path, "agents", &bindings(), None), agent(binding, name), "{path}");
        }
    }

    #[test]
    fn c14_c17_a_prefix_is_compared_segment_by_segment() {
        let path = "/api/agents/counter/a";
        assert_eq!(match_path(path, "api/agents", &bindings(), None), agent("Counter", "a"));
        assert_eq!(match_path("/agents/counter/a", "api/agents", &bindings(), None), PathMatch::Elsewhere);
        for prefix in ["/agents", "agents/", "/api/agents", "api//agents"] {
            assert_eq!(match_path(path, prefix, &bindings(), None), PathMatch::Elsewhere, "{prefix}");
            assert_eq!(match_path("/agents/counter/a", prefix, &bindings(), None), PathMatch::Elsewhere, "{prefix}");
        }
    }

    #[test]
    fn a_default_agent_has_what_no_class_has() {
        let route = |path| match_path(path, "agents", &bindings(), Some("Counter"));
        assert_eq!(route("/agents/lobby"), agent("Counter", "lobby"));
        assert_eq!(route("/agents/nope/a"), agent("Counter", "nope"));
        assert_eq!(route("/agents/my-agent/a"), agent("MyAgent", "a"));
        assert_eq!(route("/agents/my-agent"), PathMatch::Elsewhere);
        assert_eq!(route("/agents"), PathMatch::Elsewhere);
        assert_eq!(route("/other/lobby"), PathMatch::Elsewhere);
    }

    #[test]
    fn of_two_bindings_with_one_kebab_form_the_later_is_meant() {
        let bindings = ["MyAgent", "MY_AGENT"].map(Binding::new);
        assert_eq!(match_path("/agents/my-agent/a", "agents", &bindings, None), agent("MY_AGENT", "a"));
    }

    #[test]
    fn what_follows_the_name_is_the_sub_path() {
        for (path, name, expected) in [
            ("/agents/chat-agent/lobby", "lobby", ""),
            ("/agents/chat-agent/lobby/", "lobby", ""),
            ("/agents/chat-agent/lobby/history", "lobby", "history"),
            ("//agents//chat-agent//lobby//a//b/", "lobby", "a//b"),
            ("/agents/lobby/history", "lobby", "history"),
            ("/agents/chat-agent/history", "history", ""),
            ("/agents/chat-agent/history/history", "history", "history"),
            ("/agents/chat-agent/chat-agent/history", "chat-agent", "history"),
            ("/agents/agents/history", "agents", "history"),
            ("/api/agents/chat-agent/a%20b/c%2Fd", "a%20b", "c%2Fd"),
            ("/history", "lobby", "history"),
            ("/", "lobby", ""),
            // The name is said again.
            ("/agents/chat-agent/lobby/lobby", "lobby", "lobby"),
            ("/agents/chat-agent/lobby/chat-agent/lobby/x", "lobby", "chat-agent/lobby/x"),
            ("/agents/lobby/lobby/x", "lobby", "lobby/x"),
            // It is the class's, and said again.
            ("/agents/chat-agent/chat-agent", "chat-agent", ""),
            ("/agents/chat-agent/chat-agent/chat-agent", "chat-agent", "chat-agent"),
            ("/agents/chat-agent/chat-agent/chat-agent/x", "chat-agent", "chat-agent/x"),
            ("/agents/chat-agent/chat-agent/x/chat-agent", "chat-agent", "x/chat-agent"),
            // It is a segment of the prefix.
            ("/lobby/chat-agent/lobby/x", "lobby", "x"),
            ("/api/agents/chat-agent/agents/history", "agents", "history"),
            ("/api/agents/chat-agent/api", "api", ""),
            ("/a/b/c/chat-agent/c/x", "c", "x"),
            ("/a/b/c/chat-agent/b/b", "b", "b"),
            // So is the class.
            ("/chat-agent/chat-agent/lobby/x", "lobby", "x"),
            ("/api/chat-agent/chat-agent/lobby/x", "lobby", "x"),
            ("/chat-agent/lobby/x", "lobby", "x"),
            ("/chat-agent/chat-agent/chat-agent/x", "chat-agent", "x"),
            // Of two that follow the class the first.
            ("/api/chat-agent/chat-agent/chat-agent/x", "chat-agent", "chat-agent/x"),
            // Names are compared as they were written.
            ("/agents/chat-agent/a%2Fb/a%2fb/x", "a%2fb", "x"),
            ("/agents/chat-agent/%6Cobby/x", "lobby", "agents/chat-agent/%6Cobby/x"),
            ("/agents/chat-agent/%F0%9F%A6%80/%41", "%F0%9F%A6%80", "%41"),
            ("/agents/chat-agent/..%2F/x", "..%2F", "x"),
            // Slashes at either end and between.
            ("agents/chat-agent/lobby", "lobby", ""),
            ("/api//agents/chat-agent//agents//", "agents", ""),
            ("//api/agents/chat-agent/agents//x//", "agents", "x"),
            ("/lobby/", "lobby", "lobby"),
            ("", "lobby", ""),
            ("///", "lobby", ""),
            ("/agents/chat-agent/lobby/x", "", "agents/chat-agent/lobby/x"),
            ("", "", ""),
        ] {
            assert_eq!(sub_path(path, "chat-agent", name), expected, "{path} {name}");
        }
    }

    #[test]
    fn whatever_the_prefix_the_sub_path_is_what_the_router_left_over() {
        let bindings = bindings();
        for prefix in ["agents", "api/agents", "a/b/c", "counter", "api/counter", "a/counter/d"] {
            for name in ["agents", "api", "a", "b", "c", "my-agent", "%61", "a%2Fb"] {
                for rest in
                    ["", "/", "/x", "/x//y/", "/agents", "/api/agents", "/counter/a", "/a/counter/a", "/counter/counter"]
                {
                    let path = format!("/{prefix}/counter/{name}{rest}");
                    assert_eq!(match_path(&path, prefix, &bindings, None), agent("Counter", name), "{path}");
                    assert_eq!(sub_path(&path, "counter", name), rest.trim_matches('/'), "{path}");
                }
            }
        }
    }
}
