//! What an idle connection is made of, printed so that nobody has to guess.

use std::mem::size_of;

use tambour_actors::outlet::line::{Line, Sub};
use tambour_actors::session::Session;
use tambour_actors::topic::TopicActor;

#[test]
fn an_idle_connection_is_made_of_little() {
    let sizes = [
        ("Session", size_of::<Session>()),
        ("Line", size_of::<Line>()),
        ("Sub", size_of::<Sub>()),
        ("TopicActor", size_of::<TopicActor>()),
        ("Context<Session>", size_of::<actix::Context<Session>>()),
        ("ContextFut<Session>", size_of::<actix::dev::ContextFut<Session, actix::Context<Session>>>()),
    ];
    sizes.iter().for_each(|(name, bytes)| println!("{name}: {bytes} bytes"));
    let [(_, session), (_, line), (_, sub), ..] = sizes;
    assert!(session + line + sub <= 640, "a session grew to {} bytes beside its actor", session + line + sub);
}
