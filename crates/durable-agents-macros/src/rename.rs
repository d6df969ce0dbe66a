//! Names on the wire, made from Rust's.

use syn::{Error, LitStr, Result};

/// How the words of a method's name are put together on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rename {
    None,
    Camel,
    Snake,
    Pascal,
    Kebab,
}

impl Rename {
    pub(crate) fn parse(text: &LitStr) -> Result<Self> {
        match text.value().as_str() {
            "camelCase" => Ok(Self::Camel),
            "snake_case" => Ok(Self::Snake),
            "PascalCase" => Ok(Self::Pascal),
            "kebab-case" => Ok(Self::Kebab),
            _ => Err(Error::new_spanned(text, "expected `camelCase`, `snake_case`, `PascalCase` or `kebab-case`")),
        }
    }

    pub(crate) fn apply(self, name: &str) -> String {
        let words: Vec<&str> = name.split('_').filter(|word| !word.is_empty()).collect();
        match self {
            Self::None | Self::Snake => name.to_owned(),
            Self::Kebab => words.join("-"),
            Self::Pascal => words.into_iter().map(capitalized).collect(),
            Self::Camel => {
                let mut words = words.into_iter();
                let first = words.next().unwrap_or_default().to_owned();
                first + &words.map(capitalized).collect::<String>()
            }
        }
    }
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_put_together() {
        let all = [Rename::None, Rename::Camel, Rename::Snake, Rename::Pascal, Rename::Kebab];
        assert_eq!(
            all.map(|rename| rename.apply("get_state_2")),
            ["get_state_2", "getState2", "get_state_2", "GetState2", "get-state-2"]
        );
        assert_eq!(all.map(|rename| rename.apply("add")), ["add", "add", "add", "Add", "add"]);
    }
}
