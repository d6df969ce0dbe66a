//! Tags of a connection.

/// Most tags of one connection, its id included.
///
/// Source: <https://developers.cloudflare.com/durable-objects/best-practices/websockets/>
pub const MAX_TAGS: usize = 10;

/// Longest tag, in bytes of UTF-8; the id is a tag too.
///
/// The platform documents characters and counts bytes.
/// Source: <https://developers.cloudflare.com/durable-objects/best-practices/websockets/>
pub const MAX_TAG_BYTES: usize = 256;

/// Why a connection cannot have these tags. Its text is safe for clients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// More than nine beside the id.
    #[error("A connection can only have {MAX_TAGS} tags, including the default id tag. It has {count}.")]
    TooMany {
        /// How many there are with the id.
        count: usize,
    },
    /// One is empty.
    #[error("A connection tag must not be an empty string. Tag {index} is.")]
    Empty {
        /// Which, counting the id as 0.
        index: usize,
    },
    /// One is too long.
    #[error("A connection tag must not exceed {MAX_TAG_BYTES} characters. Tag {index} has {size_bytes} bytes.")]
    TooLong {
        /// Which, counting the id as 0.
        index: usize,
        /// How long it is.
        size_bytes: usize,
    },
}

/// The tags of one connection: its id, then the agent's, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tags(Vec<String>);

impl Tags {
    /// Puts the id first and checks the limits. A tag equal to the id is left out and does not count; other repetitions stay.
    ///
    /// # Errors
    /// [`TagError`], naming the first offender.
    pub fn new(id: &str, own: Vec<String>) -> Result<Self, TagError> {
        let mut tags = vec![id.to_owned()];
        tags.extend(own.into_iter().filter(|tag| tag != id));
        let tags = Self(tags);
        tags.check()?;
        Ok(tags)
    }

    /// Checks the limits.
    ///
    /// # Errors
    /// [`TagError`], naming the first offender.
    pub(crate) fn check(&self) -> Result<(), TagError> {
        let Self(tags) = self;
        if tags.len() > MAX_TAGS {
            return Err(TagError::TooMany { count: tags.len() });
        }
        for (index, tag) in tags.iter().enumerate() {
            if tag.is_empty() {
                return Err(TagError::Empty { index });
            }
            if tag.len() > MAX_TAG_BYTES {
                return Err(TagError::TooLong { index, size_bytes: tag.len() });
            }
        }
        Ok(())
    }

    /// Tags that were checked before they were stored.
    pub(crate) fn stored(tags: Vec<String>) -> Self {
        Self(tags)
    }

    /// The tags, id first.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("t{n}")).collect()
    }

    #[test]
    fn c68_the_id_comes_first() {
        assert_eq!(Tags::new("id", tags(2)).map(|tags| tags.0), Ok(vec!["id".into(), "t0".into(), "t1".into()]));
    }

    #[test]
    fn c69_nine_tags_beside_the_id() {
        assert!(Tags::new("id", tags(9)).is_ok());
        assert_eq!(Tags::new("id", tags(10)), Err(TagError::TooMany { count: 11 }));
    }

    #[test]
    fn c70_a_tag_has_1_to_256_bytes() {
        assert!(Tags::new("id", vec!["x".repeat(256)]).is_ok());
        assert_eq!(Tags::new("id", vec!["x".repeat(257)]), Err(TagError::TooLong { index: 1, size_bytes: 257 }));
        assert_eq!(Tags::new(&"x".repeat(257), vec![]), Err(TagError::TooLong { index: 0, size_bytes: 257 }));
        assert_eq!(Tags::new("id", vec!["a".into(), String::new()]), Err(TagError::Empty { index: 2 }));
    }

    #[test]
    fn c71_the_id_is_not_repeated_and_other_repetitions_stay() {
        let own = ["id", "a", "a", "id"].map(str::to_owned).to_vec();
        assert_eq!(Tags::new("id", own).map(|tags| tags.0), Ok(["id", "a", "a"].map(str::to_owned).to_vec()));
        let mut ten = tags(9);
        ten.push("id".to_owned());
        assert!(Tags::new("id", ten).is_ok());
    }
}
