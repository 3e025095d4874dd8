//! WebSocket frames: bytes to messages, in whatever pieces.

use tambour_actors::frame::control;
use tambour_actors::refusal::Code;
use tambour_actors::session::decoder::{Decoder, Incoming};

use crate::harness::{self, Random, Target, cut, head, within};

/// Largest message of these tests: small, so that what is larger is met.
const MESSAGE_BYTES_MAX: usize = 512;
/// Longest header of a frame (RFC 6455, section 5.2): 2 bytes, 8 of length, 4 of mask.
const HEADER_BYTES_MAX: usize = 14;

/// The messages of pieces, and the refusal that ended them. Each piece is at most 255 bytes.
fn decoded(pieces: &[&[u8]]) -> (Vec<Incoming>, Option<Code>) {
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.next(MESSAGE_BYTES_MAX) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(refusal) => return (messages, Some(refusal.code)),
            }
        }
    }
    (messages, None)
}

/// The same with nothing kept: what is held then is the decoder's own.
fn pass_through(pieces: &[&[u8]]) {
    let mut decoder = Decoder::default();
    for piece in pieces {
        decoder.feed(piece);
        while let Ok(Some(message)) = decoder.next(MESSAGE_BYTES_MAX) {
            drop(message);
        }
    }
}

/// A piece may bring whole frames behind an incomplete one, and what grows doubles; a fragmented message and the frame that
/// completes it are there at the same time.
const HELD_BYTES_MAX: usize = 3 * (MESSAGE_BYTES_MAX + HEADER_BYTES_MAX + 255) + 3 * MESSAGE_BYTES_MAX;

fn any_bytes(input: &[u8]) -> String {
    let (rhythm, bytes) = head(input);
    let pieces = cut(rhythm, bytes);
    let (messages, refused) = decoded(&pieces);
    let bytewise: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(decoded(&bytewise), (messages_again(&messages), refused), "cut elsewhere, it is something else");
    for message in &messages {
        match message {
            Incoming::Text(text) => assert!(text.len() <= MESSAGE_BYTES_MAX, "{} bytes", text.len()),
            Incoming::Ping(payload) => assert!(payload.len() <= 125, "RFC 6455, section 5.5"),
            Incoming::Pong => {}
            Incoming::Close(code) => {
                assert!(code.is_none_or(|code| (1000..5000).contains(&code) && ![1004, 1005, 1006].contains(&code)));
            }
        }
    }
    if refused.is_none() {
        within(HELD_BYTES_MAX, || pass_through(&pieces));
    }
    let kind = |message: &Incoming| match message {
        Incoming::Text(text) => text.len().min(4) * 10,
        Incoming::Ping(_) => 1,
        Incoming::Pong => 2,
        Incoming::Close(_) => 3,
    };
    format!("{refused:?} {:?}", messages.iter().take(4).map(kind).collect::<Vec<_>>())
}

fn messages_again(messages: &[Incoming]) -> Vec<Incoming> {
    let again = |message: &Incoming| match message {
        Incoming::Text(text) => Incoming::Text(text.clone()),
        Incoming::Ping(payload) => Incoming::Ping(payload.clone()),
        Incoming::Pong => Incoming::Pong,
        Incoming::Close(code) => Incoming::Close(*code),
    };
    messages.iter().map(again).collect()
}

/// A client's frame: the header that the hub writes for its own, with another first byte, and a mask.
fn masked(first: u8, payload: &[u8], random: &mut Random) -> Vec<u8> {
    let mut frame = Vec::new();
    control::write_ws_header(payload.len(), &mut frame);
    frame[0] = first;
    frame[1] |= 0x80;
    let mask: [u8; 4] = std::array::from_fn(|_| u8::try_from(random.below(256)).unwrap());
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Lines as messages, cut into fragments by a seed that is in the input, with pings between: they come out as they are.
fn any_messages(input: &[u8]) -> String {
    let (rhythm, text) = head(input);
    let mut random =
        Random(rhythm.iter().fold(0_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(*byte))));
    let text = String::from_utf8_lossy(text);
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    for line in text.lines().filter(|line| line.len() <= MESSAGE_BYTES_MAX) {
        let (mut rest, mut opcode) = (line.as_bytes(), 1);
        loop {
            let (fragment, behind) = rest.split_at(random.below(rest.len() + 1));
            rest = behind;
            let last = rest.is_empty();
            bytes.extend(masked(if last { 0x80 } else { 0 } | opcode, fragment, &mut random));
            if last {
                break;
            }
            opcode = 0;
            if random.below(3) == 0 {
                bytes.extend(masked(0x89, b"p", &mut random));
                expected.push(Incoming::Ping(b"p".to_vec()));
            }
        }
        expected.push(Incoming::Text(line.to_owned()));
    }
    let said = format!("{} {}", expected.len().min(20), (bytes.len() + 1).ilog2());
    assert_eq!(decoded(&cut(rhythm, &bytes)), (expected, None));
    said
}

#[test]
fn frames() {
    let words: &[&[u8]] = &[
        b"\x81\x80\0\0\0\0",
        b"\x81\x85\0\0\0\0hello",
        b"\x01\x82\0\0\0\0he",
        b"\x80\x82\0\0\0\0lo",
        b"\x89\x81\0\0\0\0p",
        b"\x8a\x80\0\0\0\0",
        b"\x88\x82\0\0\0\0\x03\xe8",
        b"\x81\xfe\x01\x00\0\0\0\0",
        b"\x81\xff\0\0\0\0\0\x01\0\0\0\0\0\0",
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
    ];
    harness::run(&Target { name: "frames", words, bytes_max: 8 * 1024, check: any_bytes });
}

#[test]
fn messages() {
    let words: &[&[u8]] = &[b"\n", b"\xc3\xa9", b"\xf0\x9f\x90\x8e", b"\xc3", b"{\"t\":\"ping\"}\n"];
    harness::run(&Target { name: "messages", words, bytes_max: 2 * 1024, check: any_messages });
}
