//! The outer ring of tests: a real hub, in this process or as the real binary, seen through real sockets.
//!
//! One binary, a file a topic. Nothing here looks into the hub; what a client can't see is not tested here.

mod authority;
mod authority_keys;
mod authority_sessions;
mod backup;
mod clients;
mod conformance;
mod cors;
mod deploy;
mod description;
mod drain;
mod entries;
mod events;
mod faults;
mod folded_pages;
mod forms;
mod frames;
mod fsync_trace;
mod full;
mod issuers;
mod limits;
mod ndjson;
mod pages;
mod pipelining;
mod polls;
mod proxies;
mod rates;
mod redaction;
mod refusals;
mod refusals_order;
mod reload;
mod reset;
mod retention;
mod retries;
mod session;
mod slow;
mod sse_text;
mod start;
mod stream_tokens;
mod streams;
mod support;
mod tail;
mod tls;
mod tls_wire;
mod topics;
