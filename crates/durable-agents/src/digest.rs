//! Digests of bodies.

use durable_agents_core::http::{Body, BodyError};

#[cfg(target_arch = "wasm32")]
use crate::workerd::sha256 as taken;

/// SHA-256 of a body: 32 bytes. A stream is read piece by piece and never kept, however long it is.
///
/// The platform does the arithmetic, natively; outside of workerd, in a native test for instance, the `sha2` crate does.
///
/// ```no_run
/// # use durable_agents::prelude::*;
/// # async fn example(mut request: Request) -> Result<()> {
/// let digest: [u8; 32] = durable_agents::sha256(request.take_body()).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`BodyError::Cut`] if a piece of a stream is an error, which it repeats, or if the platform gave up.
pub async fn sha256(body: Body) -> Result<[u8; 32], BodyError> {
    taken(body).await
}

#[cfg(not(target_arch = "wasm32"))]
async fn taken(body: Body) -> Result<[u8; 32], BodyError> {
    use futures::StreamExt as _;
    use sha2::Digest as _;

    let mut hash = sha2::Sha256::new();
    let mut pieces = body.into_stream();
    while let Some(piece) = pieces.next().await {
        hash.update(piece.map_err(|error| BodyError::Cut(error.to_string()))?);
    }
    Ok(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use durable_agents_core::http::{Body, BodyError};
    use futures::FutureExt as _;
    use futures::stream::iter;

    use super::sha256;

    fn hex(body: Body) -> Result<String, String> {
        let digest = sha256(body).now_or_never().expect("nothing waits").map_err(|error| error.to_string())?;
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    // From FIPS 180-4's examples, and that of nothing.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_body_has_one_digest_in_however_many_pieces_it_comes() {
        assert_eq!(hex(Body::Empty).as_deref(), Ok(NOTHING));
        assert_eq!(hex("abc".to_owned().into()).as_deref(), Ok(ABC));
        assert_eq!(hex(Body::stream(iter([Ok("a".into()), Ok("".into()), Ok("bc".into())]))).as_deref(), Ok(ABC));
    }

    #[test]
    fn a_body_that_is_cut_has_none() {
        let cut = Body::stream(iter([Ok("abc".into()), Err(BodyError::NotText)]));
        assert_eq!(hex(cut), Err("body was cut: body is not UTF-8 text".to_owned()));
    }
}
