//! Who is who: a user is whoever knows a user id.

use durable_agents::prelude::*;

use super::WorldAgent;
use super::refusal::{Code, Refusal};
use crate::hex;

/// A new user's id: 128 random bits as 32 hexadecimal digits.
pub(super) fn id_of(random: [u8; 16]) -> String {
    hex::digits(&random)
}

/// Whether `text` is a user id: 32 hexadecimal digits, or a UUID.
pub(super) fn is_id(text: &str) -> bool {
    let is_hex = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_uuid = || {
        let mut groups = text.split('-');
        [8, 4, 4, 4, 12].iter().all(|digits| groups.next().is_some_and(|group| is_hex(group, *digits)))
            && groups.next().is_none()
    };
    is_hex(text, 32) || is_uuid()
}

/// What somebody is told who is no user.
pub(super) fn invalid_id() -> Refusal {
    Refusal::new(Code::InvalidUser, "A user id is 32 hexadecimal digits or a UUID")
}

/// Whether a request came by the agent's own address, `/agents/world-agent/{user id}`.
pub(super) fn is_own_path(request: &Request) -> bool {
    request.path().trim_start_matches('/').starts_with("agents/")
}

/// Whether a request is this agent's user's: `false` where it is nobody's. The agent's name is its user's id, and whatever the request
/// says, there is no other user's data here.
///
/// # Errors
/// The name is no user id, or the request names another user.
pub(super) fn claim(cx: &Context<WorldAgent>, request: &Request) -> Result<bool, Refusal> {
    let named = request.url().query_param("user");
    if !is_id(cx.name()) || named.as_ref().is_some_and(|named| !is_id(named)) {
        return Err(invalid_id());
    }
    if named.as_ref().is_some_and(|named| named != cx.name()) {
        return Err(Refusal::new(Code::InvalidUser, "This address is one user's, and ?user= names another: leave it out"));
    }
    Ok(named.is_some() || is_own_path(request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_ids_are_digits_or_uuids() {
        let id = "00112233445566778899aabbccddeeff";
        assert_eq!(id_of([0, 17, 34, 51, 68, 85, 102, 119, 136, 153, 170, 187, 204, 221, 238, 255]), id);
        for text in [id, "00112233445566778899AABBCCDDEEFF", "00112233-4455-6677-8899-aabbccddeeff"] {
            assert!(is_id(text), "{text}");
        }
        for text in [
            "",
            "..",
            "0011223344556677 8899aabbccddeeff",
            "00112233445566778899aabbccddeef",
            "00112233445566778899aabbccddeefff",
            "00112233445566778899aabbccddeefg",
            "0011223344556677-8899-aabbccddeeff",
            "00112233-4455-6677-8899-aabbccddeef",
            "00112233-4455-6677-8899-aabbccddeeff-",
            "{00112233-4455-6677-8899-aabbccddeeff}",
            "%30%30112233445566778899aabbccddeef",
            "٠٠112233445566778899aabbccddeeff",
        ] {
            assert!(!is_id(text), "{text}");
        }
    }
}
