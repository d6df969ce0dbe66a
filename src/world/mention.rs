//! Whom a message addresses.

use super::refusal::{Code, Refusal};
use super::templates::Persona;

/// The agents that `content` names as `@name`, by name or id in any case; all of them if it names nobody.
///
/// An `@` within a word, as in a mail address, names nobody.
///
/// # Errors
/// [`Code::UnknownAgent`].
pub(super) fn addressed(content: &str, agents: &[Persona]) -> Result<Vec<Persona>, Refusal> {
    let mut is_addressed = vec![false; agents.len()];
    for (at, _) in content.match_indices('@') {
        let (before, rest) = (content.get(..at).unwrap_or_default(), content.get(at + 1..).unwrap_or_default());
        if before.ends_with(is_word) || !rest.starts_with(is_word) {
            continue;
        }
        let longest = agents.iter().map(|agent| match_len(rest, agent)).max().unwrap_or_default();
        if longest == 0 {
            let name = rest.split(|letter| !is_word(letter)).next().unwrap_or_default();
            return Err(Refusal::new(Code::UnknownAgent, format!("There is no agent {name:?} in this world")));
        }
        for (agent, is_addressed) in agents.iter().zip(&mut is_addressed) {
            *is_addressed |= match_len(rest, agent) == longest;
        }
    }
    let nobody = !is_addressed.contains(&true);
    Ok(agents.iter().zip(is_addressed).filter(|(_, named)| *named || nobody).map(|(agent, _)| agent.clone()).collect())
}

/// How much of the beginning of `text` names `agent`, in bytes; names may have several words.
fn match_len(text: &str, agent: &Persona) -> usize {
    let matches = |label: &&String| {
        let (head, rest) = (text.get(..label.len()), text.get(label.len()..).unwrap_or_default());
        head.is_some_and(|head| head.eq_ignore_ascii_case(label)) && !rest.starts_with(is_word)
    };
    [&agent.name, &agent.id].into_iter().filter(matches).map(String::len).max().unwrap_or_default()
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_addressed_by_name_or_id() {
        let agent = |id: &str, name: &str| Persona {
            id: id.to_owned(),
            name: name.to_owned(),
            system_prompt: String::new(),
            model: String::new(),
            status: String::new(),
        };
        let agents = [agent("a", "Ada"), agent("b", "Ada Byron"), agent("c", "Zoë"), agent("d-1", "Ada")];
        let ids = |content: &str| -> Result<String, String> {
            let found = addressed(content, &agents).map_err(|refusal| refusal.message)?;
            Ok(found.into_iter().map(|agent| agent.id).collect::<Vec<_>>().join(" "))
        };
        for (content, expected) in [
            ("hello", "a b c d-1"),
            ("", "a b c d-1"),
            ("mail me@example.com", "a b c d-1"),
            ("5 @ 3, @ and @!", "a b c d-1"),
            ("@Ada hello", "a d-1"),
            ("hello,@ada.", "a d-1"),
            ("@Ada Byron, hello", "b"),
            ("@ada byron? @Zoë!", "b c"),
            ("(@b) @D-1", "b d-1"),
            ("@b @b", "b"),
        ] {
            assert_eq!(ids(content), Ok(expected.to_owned()), "{content}");
        }
        for (content, name) in [("@nobody", "nobody"), ("@Ada @Adam!", "Adam"), ("@d", "d"), ("@d-12", "d-12"), ("@b-", "b-")] {
            assert_eq!(ids(content), Err(format!("There is no agent {name:?} in this world")), "{content}");
        }
    }
}
