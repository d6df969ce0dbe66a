//! Strings that JavaScript is given again and again: statements, names of bindings.

use std::cell::RefCell;

use wasm_bindgen::JsValue;

use super::glue;

/// How many are kept, and the longest of them: most statements are constants.
const MAX_KEPT: usize = 32;
const MAX_KEPT_BYTES: usize = 512;

thread_local! {
    static KEPT: RefCell<Vec<(String, JsValue)>> = const { RefCell::new(Vec::new()) };
}

/// Calls `use_it` with a text as a value of JavaScript, without making that anew if it is there.
pub(crate) fn with_kept<T>(text: &str, use_it: impl FnOnce(&JsValue) -> T) -> T {
    let place = place_of(text);
    KEPT.with_borrow(|kept| match place.and_then(|place| kept.get(place)) {
        Some((_, value)) => use_it(value),
        None => use_it(&JsValue::from_str(text)),
    })
}

/// Where that text is kept, from now on if need be and if it is not too long.
// Once for all uses.
#[inline(never)]
fn place_of(text: &str) -> Option<usize> {
    KEPT.with_borrow_mut(|kept| {
        let place = kept.iter().position(|(known, _)| glue::is_equal(known.as_bytes(), text.as_bytes()));
        if place.is_some() || text.len() > MAX_KEPT_BYTES {
            return place;
        }
        if kept.len() >= MAX_KEPT {
            kept.remove(0);
        }
        kept.push((text.to_owned(), JsValue::from_str(text)));
        Some(kept.len() - 1)
    })
}
