//! Where what was written stands, as answers say it.

use serde::Serialize;
use tambour_actors::cursor::Mark;
use tambour_actors::event::Seq;
use utoipa::ToSchema;

use crate::openapi::shapes;

/// Where an event stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct Place {
    /// Its cursor.
    #[schema(value_type = shapes::Cursor)]
    id: String,
    #[schema(value_type = shapes::Seq)]
    seq: Seq,
}

/// Where the events of an array, or of lines, stand.
#[derive(Debug, Serialize, ToSchema)]
pub struct Places {
    /// How many they are.
    pub count: u64,
    /// The first of them.
    pub first: Place,
    /// The last of them.
    pub last: Place,
}

impl Place {
    /// The place of a seq in the log of a mark.
    #[must_use]
    pub fn of(mark: Mark, seq: Seq) -> Self {
        Self { id: mark.at(seq).to_string(), seq }
    }
}
