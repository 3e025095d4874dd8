//! Who may come in, beside what tokens say: service keys, principals, revocations, and who is connected now.

pub mod keys;
pub mod model;
pub mod principals;
mod roll;
pub mod sessions;
