//! Entries as rows of a table, for spreadsheets: RFC 4180, and no cell that one of them would take for a formula.
//!
//! The text of an entry is what is true; a table is for looking at.

use serde_json::Value;

use super::chain::AuditRow;
use super::entry::{Entry, hex};

/// The columns.
pub const COLUMNS: [&str; 22] = [
    "seq",
    "time",
    "tenant_id",
    "env",
    "actor",
    "actor_type",
    "actor_role",
    "acts_for",
    "action",
    "resource",
    "outcome",
    "code",
    "request_id",
    "trace_id",
    "ip",
    "before",
    "after",
    "affected_count",
    "count_snapshot",
    "suppressed",
    "prev",
    "hash",
];

/// A cell that no spreadsheet calculates: what begins like a formula gets an apostrophe before it.
fn guarded(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell }
}

/// Writes the line of the columns.
///
/// # Errors
/// None that is known: it is written into memory.
pub fn head() -> csv::Result<Vec<u8>> {
    line(COLUMNS.map(str::to_owned))
}

/// Writes the line of an entry.
///
/// # Errors
/// The entry can't be read.
pub fn row(row: &AuditRow) -> csv::Result<Vec<u8>> {
    let entry = Entry::parse(&row.entry).map_err(std::io::Error::from)?;
    let text = |text: Option<std::borrow::Cow<'_, str>>| text.unwrap_or_default().into_owned();
    let json = |value: Option<Value>| value.map_or_else(String::new, |value| value.to_string());
    line([
        entry.seq.to_string(),
        entry.time.into_owned(),
        entry.tenant_id.into_owned(),
        entry.env.into_owned(),
        entry.actor.sub.into_owned(),
        entry.actor.r#type.into_owned(),
        entry.actor.role.into_owned(),
        text(entry.actor.acts_for),
        entry.action.into_owned(),
        entry.resource.into_owned(),
        entry.outcome.into_owned(),
        text(entry.code),
        text(entry.request_id),
        text(entry.trace_id),
        text(entry.ip),
        json(entry.before),
        json(entry.after),
        entry.affected_count.to_string(),
        json(entry.count_snapshot),
        entry.suppressed.to_string(),
        entry.prev.into_owned(),
        hex(&row.hash),
    ])
}

fn line(cells: [String; COLUMNS.len()]) -> csv::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(cells.map(guarded))?;
    writer.into_inner().map_err(|error| error.into_error().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_like_a_formula_is_none() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"] {
            assert_eq!(guarded(formula.into()), format!("'{formula}"));
        }
        assert_eq!(guarded("thread/=x".into()), "thread/=x");
    }

    #[test]
    fn a_line_is_read_back() {
        let cells: [String; COLUMNS.len()] = std::array::from_fn(|n| format!("\"{n}\",\r\n=;"));
        let line = line(cells.clone()).unwrap();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*line);
        let read: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].iter().collect::<Vec<_>>(), cells);
    }
}
