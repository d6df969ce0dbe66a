//! What limits and liveness keep of one connection, beside the agent's own state in its attachment.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::error::AttachmentError;
use crate::limits::Limiter;
use crate::link::Link;

/// At most 191 bytes of JSON, which there is always room for, and with which the framework's part of an attachment stays below 256.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meter {
    /// Unix time of the last message, in seconds and rounded up. 0: not noted yet.
    #[serde(rename = "h", default, skip_serializing_if = "is_zero")]
    pub(crate) heard_s: u64,
    #[serde(rename = "l", default, skip_serializing_if = "Limiter::is_untouched")]
    pub(crate) limiter: Limiter,
}

impl Meter {
    /// What stands in the attachment. Where nothing does, or something of another form, counting begins anew.
    pub(crate) fn of(link: &Link) -> Self {
        if let Some(known) = link.typed_meter().and_then(|known| known.downcast::<Self>().ok()) {
            return Self::clone(&known);
        }
        link.with_meter(|json| json.and_then(|json| serde_json::from_str(json).ok())).unwrap_or_default()
    }

    /// Writes it there.
    ///
    /// # Errors
    /// [`AttachmentError`].
    pub(crate) fn store(self, link: &Rc<Link>) -> Result<(), AttachmentError> {
        let json = serde_json::to_string(&self).map_err(|error| AttachmentError::Shape(error.to_string()))?;
        link.set_meter(json, Rc::new(self))
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attachment::{Attachment, Flags, METER_BYTES};
    use crate::limits::{Limits, MAX_STRIKES, Reason};
    use crate::tags::Tags;

    #[test]
    fn the_framework_takes_little_also_when_it_counts() {
        let limits = Limits::new().strikes(MAX_STRIKES);
        let now_ms = 1_700_000_000_123;
        let mut meter = Meter { heard_s: 1_700_000_001, ..Meter::default() };
        for _ in 0..20 {
            assert_eq!(meter.limiter.admit(&limits, 13_000, now_ms), Ok(()));
        }
        for _ in 0..20 {
            meter.limiter.strike(&limits, Reason::Content, now_ms);
        }
        let json = serde_json::to_string(&meter).expect("JSON");
        assert_eq!(serde_json::from_str::<Meter>(&json).expect("JSON"), meter);
        assert!(json.len() < METER_BYTES, "{} {json}", json.len());
        let tags = Tags::new("0123456789abcdef-_xyz", vec![]).expect("valid tags");
        let flags = Flags { readonly: true, no_protocol: true, departed: true, resumes: true };
        let bytes = Attachment::encode(flags, now_ms << 10, &tags, "", None, Some(&json)).expect("fits");
        assert!(bytes.len() <= 256, "{} {json}", bytes.len());
    }

    #[test]
    fn what_nobody_counted_takes_no_room() {
        assert_eq!(serde_json::to_string(&Meter::default()).expect("JSON"), "{}");
        assert_eq!(serde_json::from_str::<Meter>("{}").expect("JSON"), Meter::default());
    }
}
