//! The audit: what was done beside publishing, and what was refused to whom, as entries that are chained by their hashes.
//!
//! Reading order: `entry` (what an entry says, its text and its hash), `topics` and `standing` (what a change comes to),
//! `chain` (verifying), `table` (one form for spreadsheets). Everything here is pure: the store writes entries and reads them.

pub mod chain;
pub mod entry;
pub mod standing;
pub mod table;
pub mod topics;
