//! The model that needs nothing: no network, no key, and no understanding.

use std::rc::Rc;
use std::time::Duration;

use durable_agents::host::Host;
use futures::stream::{self, StreamExt};

use super::{Model, ModelError, Pieces, Prompt, Role, number};

/// What every answer begins with, so that nobody takes it for thought.
const INTRODUCTION: &str = "This is the scripted model: it understands nothing and repeats what you said. ";

/// What it says where nobody has said anything.
const NOTHING: &str = "You have said nothing yet.";

/// Most characters that it repeats.
const MAX_REPEATED_CHARS: usize = 2_000;

/// Says who it is, then repeats the last thing that the user said, word by word.
pub(super) struct Scripted {
    host: Rc<dyn Host>,
    delay: Duration,
}

impl Scripted {
    pub(super) fn new(host: Rc<dyn Host>) -> Result<Self, ModelError> {
        let delay = Duration::from_millis(number(&*host, "MODEL_DELAY_MS", 0..=10_000, 20)?);
        Ok(Self { host, delay })
    }
}

impl Model for Scripted {
    fn answer(&self, prompt: Prompt) -> Pieces {
        let (host, delay) = (Rc::clone(&self.host), self.delay);
        let words: Vec<String> = script(&prompt).split_inclusive(' ').map(str::to_owned).collect();
        let spoken = stream::iter(words.into_iter().enumerate()).then(move |(index, word)| {
            // The pause is what lets others in: a client that cancels would never be heard otherwise.
            let pause = (index > 0 && !delay.is_zero()).then(|| host.sleep(delay));
            async move {
                if let Some(pause) = pause {
                    pause.await;
                }
                Ok(word)
            }
        });
        spoken.boxed_local()
    }

    fn offers(&self, _: &str) -> bool {
        true
    }
}

fn script(prompt: &Prompt) -> String {
    let said = prompt.turns.iter().rev().find(|turn| turn.role == Role::User).map(|turn| turn.content.trim());
    match said {
        None | Some("") => format!("{INTRODUCTION}{NOTHING}"),
        Some(said) => match said.char_indices().nth(MAX_REPEATED_CHARS) {
            None => format!("{INTRODUCTION}You said: {said}"),
            Some((end, _)) => format!("{INTRODUCTION}You said: {}…", said.get(..end).unwrap_or(said)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::Turn;
    use super::*;

    #[test]
    fn it_repeats_the_last_thing_the_user_said() {
        let long = "é".repeat(MAX_REPEATED_CHARS + 1);
        for (turns, expected) in [
            (vec![], NOTHING.to_owned()),
            (vec![Turn::user("  ")], NOTHING.to_owned()),
            (vec![Turn::user("a"), Turn::assistant("b")], "You said: a".to_owned()),
            (vec![Turn::user("a"), Turn::user(" b c\n")], "You said: b c".to_owned()),
            (vec![Turn::user(&long)], format!("You said: {}…", "é".repeat(MAX_REPEATED_CHARS))),
        ] {
            let prompt = Prompt { turns, ..Prompt::default() };
            assert_eq!(script(&prompt), format!("{INTRODUCTION}{expected}"));
        }
    }
}
