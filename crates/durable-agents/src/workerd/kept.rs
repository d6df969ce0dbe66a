//! Strings that JavaScript is given again and again: statements, names of bindings.

use std::cell::RefCell;
use std::collections::VecDeque;

use wasm_bindgen::JsValue;

use super::glue;

/// How many are kept, and the longest of them: most statements are constants.
const MAX_KEPT: usize = 32;
const MAX_KEPT_BYTES: usize = 512;

thread_local! {
    static KEPT: RefCell<VecDeque<(String, JsValue)>> = const { RefCell::new(VecDeque::new()) };
}

/// Calls `use_it` with a text as a value of JavaScript, without making that anew if it is there.
pub(crate) fn with_kept<T>(text: &str, use_it: impl FnOnce(&JsValue) -> T) -> T {
    let mut place =
        KEPT.with_borrow(|kept| kept.iter().position(|(known, _)| glue::is_equal(known.as_bytes(), text.as_bytes())));
    if place.is_none() && text.len() <= MAX_KEPT_BYTES {
        KEPT.with_borrow_mut(|kept| {
            kept.truncate(MAX_KEPT - 1);
            kept.push_front((text.to_owned(), JsValue::from_str(text)));
        });
        place = Some(0);
    }
    KEPT.with_borrow(|kept| match place.and_then(|place| kept.get(place)) {
        Some((_, value)) => use_it(value),
        None => use_it(&JsValue::from_str(text)),
    })
}
