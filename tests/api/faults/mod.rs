//! A network that breaks: everything that flows through it arrives once and in order, and nobody else notices.
//!
//! The hub is the real binary. A failure is repeated with its seed; `TAMBOUR_SOAK=1` takes longer.

mod flow;
mod proxy;
