//! Uploads: what is kept of them, and for how long.

use bytes::Bytes;
use durable_agents::http::{Body, BodyError};
use durable_agents::prelude::*;
use durable_agents::sha256;
use durable_agents::sql::SqlError;
use futures::stream;
use serde::{Deserialize, Serialize};

use super::RestAgent;
use crate::hex;

/// Uploads that are remembered; with one more the oldest is forgotten, whether its digest has been taken or not.
pub const MAX_UPLOADS: u64 = 100;

/// How much of a file is in one row: a row may hold 2 MB.
const PART_BYTES: usize = 1024 * 1024;

// Written once for each upload and once more with its digest; at most `MAX_UPLOADS` rows.
const CREATE_UPLOADS: &str = "CREATE TABLE IF NOT EXISTS rest_uploads (
    id INTEGER PRIMARY KEY AUTOINCREMENT, filename TEXT NOT NULL, size INTEGER NOT NULL, uploaded_at INTEGER NOT NULL, sha256 TEXT
)";

// The content, between an upload and its digest.
const CREATE_PARTS: &str = "CREATE TABLE IF NOT EXISTS rest_upload_parts (
    upload INTEGER NOT NULL, part INTEGER NOT NULL, content BLOB NOT NULL, PRIMARY KEY (upload, part)
)";

/// One upload, as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// Name of the file, as the client gave it.
    pub filename: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it came, in milliseconds.
    pub uploaded_at: u64,
    /// SHA-256 of its content in hexadecimal digits, once it has been taken.
    pub sha256: Option<String>,
}

/// Whether there are tables: not before the first upload, so that whoever only looks leaves nothing behind.
fn has_tables(cx: &Context<RestAgent>) -> Result<bool, SqlError> {
    let found: Option<u8> = cx.sql("SELECT 1 FROM sqlite_master WHERE name = 'rest_uploads'", ()).optional()?;
    Ok(found.is_some())
}

/// Keeps an upload until its digest is taken; its id.
pub(super) fn keep(cx: &Context<RestAgent>, filename: &str, content: &[u8]) -> Result<u64, SqlError> {
    cx.sql(CREATE_UPLOADS, ()).execute()?;
    cx.sql(CREATE_PARTS, ()).execute()?;
    let insert = "INSERT INTO rest_uploads (filename, size, uploaded_at) VALUES (?, ?, ?) RETURNING id";
    let upload: u64 = cx.sql(insert, (filename, content.len(), cx.now_ms())).one()?;
    for (part, content) in content.chunks(PART_BYTES).enumerate() {
        let insert = "INSERT INTO rest_upload_parts (upload, part, content) VALUES (?, ?, ?)";
        cx.sql(insert, (upload, part, content)).execute()?;
    }
    let oldest = upload.saturating_sub(MAX_UPLOADS);
    cx.sql("DELETE FROM rest_upload_parts WHERE upload <= ?", (oldest,)).execute()?;
    cx.sql("DELETE FROM rest_uploads WHERE id <= ?", (oldest,)).execute()?;
    Ok(upload)
}

/// Takes the digest of an upload, and forgets its content. Nothing happens to one that has been forgotten meanwhile.
pub(super) async fn digest(cx: &Context<RestAgent>, upload: u64) -> Result<()> {
    let Some(size) = undigested(cx, upload)? else { return Ok(()) };
    // One part at a time in memory.
    let parts = 0..size.div_ceil(PART_BYTES as u64);
    let own = cx.clone();
    let content = Body::stream(stream::iter(parts.map(move |part| read(&own, upload, part))));
    let digest = match sha256(content).await {
        Ok(digest) => digest,
        Err(_) if undigested(cx, upload)?.is_none() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    cx.sql("UPDATE rest_uploads SET sha256 = ? WHERE id = ?", (hex::digits(&digest), upload)).execute()?;
    cx.sql("DELETE FROM rest_upload_parts WHERE upload = ?", (upload,)).execute()?;
    Ok(())
}

/// The size of an upload whose digest is to be taken.
fn undigested(cx: &Context<RestAgent>, upload: u64) -> Result<Option<u64>, SqlError> {
    cx.sql("SELECT size FROM rest_uploads WHERE id = ? AND sha256 IS NULL", (upload,)).optional()
}

fn read(cx: &Context<RestAgent>, upload: u64, part: u64) -> Result<Bytes, BodyError> {
    let content = "SELECT content FROM rest_upload_parts WHERE upload = ? AND part = ?";
    let found = cx.sql(content, (upload, part)).one::<(Vec<u8>,)>();
    found.map(|(content,)| content.into()).map_err(|error| BodyError::Cut(error.to_string()))
}

/// All that are remembered, newest first.
pub(super) fn newest(cx: &Context<RestAgent>) -> Result<Vec<Upload>, SqlError> {
    if !has_tables(cx)? {
        return Ok(Vec::new());
    }
    let uploads = "SELECT filename, size, uploaded_at, sha256 FROM rest_uploads ORDER BY id DESC";
    let rows: Vec<(String, u64, u64, Option<String>)> = cx.sql(uploads, ()).all()?;
    let upload = |(filename, size, uploaded_at, sha256)| Upload { filename, size, uploaded_at, sha256 };
    Ok(rows.into_iter().map(upload).collect())
}
