//! The audit as a file: page after page as its reader takes them, so that memory is that of one page however long it is.
//!
//! It ends with the entry that was the newest when it began. Between two pages nothing in the store is held.

use actix_web::HttpResponse;
use actix_web::http::header;
use bytes::Bytes;
use futures_util::stream;
use tambour_actors::log::Unavailable;
use tambour_actors::topic_key::Scope;

use super::model::Format;
use crate::audit::chain::AuditRow;
use crate::audit::entry::shown;
use crate::audit::table;
use crate::store::sqlite::{AuditQuery, SqliteStore};

/// Entries that are in memory at once.
const PAGE: usize = 100;

impl Format {
    fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    fn file_name(self) -> &'static str {
        match self {
            Self::Json => "attachment; filename=\"audit.json\"",
            Self::Ndjson => "attachment; filename=\"audit.ndjson\"",
            Self::Csv => "attachment; filename=\"audit.csv\"",
        }
    }

    fn begin(self) -> Result<Vec<u8>, Unavailable> {
        match self {
            Self::Json => Ok(b"[".to_vec()),
            Self::Ndjson => Ok(Vec::new()),
            Self::Csv => table::head().map_err(|error| error.to_string().into()),
        }
    }

    fn end(self) -> &'static [u8] {
        if self == Self::Json { b"]\n" } else { b"" }
    }

    fn write(self, row: &AuditRow, is_first: bool, out: &mut Vec<u8>) -> Result<(), Unavailable> {
        match self {
            Self::Json => {
                out.extend_from_slice(if is_first { b"\n" } else { b",\n" });
                out.extend_from_slice(shown(&row.entry, &row.hash).as_bytes());
            }
            Self::Ndjson => {
                out.extend_from_slice(shown(&row.entry, &row.hash).as_bytes());
                out.push(b'\n');
            }
            Self::Csv => out.extend(table::row(row).map_err(|error| error.to_string())?),
        }
        Ok(())
    }
}

/// A file that is being written.
pub(super) struct File {
    store: SqliteStore,
    scope: Scope,
    format: Format,
    query: AuditQuery,
    /// What is to be sent next.
    waiting: Vec<u8>,
    is_first: bool,
    is_over: bool,
}

impl File {
    /// Reads the first page, so that what can't be read is refused and not cut off.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub(super) async fn open(
        store: SqliteStore,
        scope: Scope,
        format: Format,
        query: AuditQuery,
    ) -> Result<Self, Unavailable> {
        let waiting = format.begin()?;
        let query = AuditQuery { after: Some(0), limit: PAGE, ..query };
        let mut file = Self { store, scope, format, query, waiting, is_first: true, is_over: false };
        let last = file.page().await?;
        // What is written from now on is not part of it.
        let behind = last.saturating_add(1);
        file.query.before = Some(file.query.before.map_or(behind, |before| before.min(behind)));
        Ok(file)
    }

    /// Reads the next page; the answer is the newest seq that there is.
    async fn page(&mut self) -> Result<i64, Unavailable> {
        let page = self.store.audit(&self.scope, self.query.clone()).await?;
        for row in &page.rows {
            self.format.write(row, std::mem::take(&mut self.is_first), &mut self.waiting)?;
            self.query.after = Some(row.seq);
        }
        if page.rows.len() < PAGE {
            self.is_over = true;
            self.waiting.extend_from_slice(self.format.end());
        }
        Ok(page.last)
    }

    /// What is to be sent next; `None`: that was all.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Unavailable> {
        while self.waiting.is_empty() && !self.is_over {
            self.page().await?;
        }
        if self.waiting.is_empty() {
            return Ok(None);
        }
        Ok(Some((Bytes::from(std::mem::take(&mut self.waiting)), self)))
    }

    /// The answer. When the store can't be read any more, its connection is cut: nobody takes half a file for a whole one.
    pub(super) fn answer(self) -> HttpResponse {
        let (media_type, name) = (self.format.media_type(), self.format.file_name());
        HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, media_type))
            .insert_header((header::CONTENT_DISPOSITION, name))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .streaming(Box::pin(stream::try_unfold(self, Self::next)))
    }
}
