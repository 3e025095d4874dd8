//! The actors against a network that misbehaves: the sockets are in memory and the test is the
//! network; everything behind them is real. No test here looks at an actor's inside.

mod chaos;
mod client;
mod composite_chaos;
mod composites;
mod feed;
mod feed_chaos;
mod feed_client;
mod flaky;
mod folding;
mod folding_chaos;
mod hub;
mod identity;
mod lifecycle;
mod membership;
mod own_events;
mod panics;
mod random;
mod readers;
mod records;
mod sizes;
mod socket;
mod sockets;
mod view;
mod wire;
mod writes;
