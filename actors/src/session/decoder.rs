//! WebSocket frames (RFC 6455, section 5) from bytes that come in any pieces.
//!
//! The length that a frame announces is checked before anything of it is kept, so a client can't make
//! the hub hold more than the limit. Memory is held only while a frame is incomplete. This file
//! never looks into a text message.

use crate::refusal::{Code, Refusal};

/// A whole message, or a control frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A text message; valid UTF-8.
    Text(String),
    /// A ping with its payload.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// The peer closes, with its code if it gave one.
    Close(Option<u16>),
}

/// Keeps what is incomplete of one connection's input.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// What of the buffer was decoded already.
    done: usize,
    /// The fragments of a text message so far.
    message: Option<Vec<u8>>,
}

/// The header of a frame.
struct Header {
    fin: bool,
    opcode: u8,
    mask: [u8; 4],
    bytes: usize,
    payload_bytes: usize,
}

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const CONTROL_BYTES_MAX: usize = 125;

impl Decoder {
    /// Takes bytes as they were read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.message.is_none()
    }

    /// The next message, if it is complete. `max_bytes` bounds a frame's payload and a message.
    ///
    /// # Errors
    /// `frame.malformed`, `frame.binary` or `frame.too_large`: the connection can't go on.
    pub fn next(&mut self, max_bytes: usize) -> Result<Option<Incoming>, Refusal> {
        loop {
            let Some(header) = header(&self.buffer[self.done..])? else {
                self.compact();
                return Ok(None);
            };
            let message_bytes = self.message.as_ref().map_or(0, Vec::len);
            // Control frames are short, and no part of the message that they come between.
            if header.opcode < CLOSE && header.payload_bytes > max_bytes.saturating_sub(message_bytes) {
                return Err(Refusal::new(Code::FrameTooLarge, format!("a message has at most {max_bytes} bytes")));
            }
            let whole = header.bytes + header.payload_bytes;
            if self.buffer.len() - self.done < whole {
                self.compact();
                return Ok(None);
            }
            let mut payload = self.buffer[self.done + header.bytes..self.done + whole].to_vec();
            self.done += whole;
            for (byte, mask) in payload.iter_mut().zip(header.mask.iter().cycle()) {
                *byte ^= mask;
            }
            if let Some(incoming) = self.accept(&header, payload)? {
                return Ok(Some(incoming));
            }
        }
    }

    fn accept(&mut self, header: &Header, payload: Vec<u8>) -> Result<Option<Incoming>, Refusal> {
        let text =
            |bytes| String::from_utf8(bytes).map(|text| Some(Incoming::Text(text))).map_err(|_| malformed("not UTF-8"));
        match (header.opcode, self.message.take()) {
            (TEXT, None) if header.fin => text(payload),
            (TEXT, None) => {
                self.message = Some(payload);
                Ok(None)
            }
            (TEXT, Some(_)) => Err(malformed("a new message before the last one was complete")),
            (CONTINUATION, Some(mut message)) => {
                message.extend_from_slice(&payload);
                if header.fin {
                    return text(message);
                }
                self.message = Some(message);
                Ok(None)
            }
            (CONTINUATION, None) => Err(malformed("a continuation of nothing")),
            (BINARY, _) => Err(Refusal::new(Code::FrameBinary, "frames are JSON text")),
            (control, message) => {
                self.message = message;
                match control {
                    PING => Ok(Some(Incoming::Ping(payload))),
                    PONG => Ok(Some(Incoming::Pong)),
                    _ => close(&payload),
                }
            }
        }
    }

    /// Keeps only what is incomplete, and no memory when nothing is.
    fn compact(&mut self) {
        if self.done == self.buffer.len() {
            self.buffer = Vec::new();
        } else {
            self.buffer.drain(..self.done);
        }
        self.done = 0;
    }
}

fn close(payload: &[u8]) -> Result<Option<Incoming>, Refusal> {
    match payload {
        [] => Ok(Some(Incoming::Close(None))),
        [_] => Err(malformed("a close frame with half a code")),
        [high, low, reason @ ..] if std::str::from_utf8(reason).is_ok() => {
            match u16::from_be_bytes([*high, *low]) {
                // RFC 6455, section 7.4: what may be sent, and the registered ones since.
                code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Ok(Some(Incoming::Close(Some(code)))),
                _ => Err(malformed("a close code that is never sent")),
            }
        }
        _ => Err(malformed("a close reason that is not UTF-8")),
    }
}

fn header(buffer: &[u8]) -> Result<Option<Header>, Refusal> {
    let [first, second, rest @ ..] = buffer else { return Ok(None) };
    let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
    if first & 0x70 != 0 {
        return Err(malformed("reserved bits are set, and no extension was agreed"));
    }
    if !matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG) {
        return Err(malformed("an unknown opcode"));
    }
    if second & 0x80 == 0 {
        return Err(malformed("a client's frames are masked"));
    }
    let short = usize::from(second & 0x7f);
    if opcode >= CLOSE && (!fin || short > CONTROL_BYTES_MAX) {
        return Err(malformed("a control frame is whole and has at most 125 bytes"));
    }
    let (payload_bytes, length_bytes) = match short {
        126 => match rest {
            [a, b, ..] => (usize::from(u16::from_be_bytes([*a, *b])), 2),
            _ => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(length) => (usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX), 8),
            None => return Ok(None),
        },
        short => (short, 0),
    };
    let bytes = 2 + length_bytes + 4;
    let Some(mask) = buffer.get(bytes - 4..bytes).and_then(|mask| mask.first_chunk::<4>()) else {
        // The announced length is known; the caller checks it once the mask has come, 4 bytes later.
        return Ok(None);
    };
    Ok(Some(Header { fin, opcode, mask: *mask, bytes, payload_bytes }))
}

fn malformed(detail: &'static str) -> Refusal {
    Refusal::new(Code::FrameMalformed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        crate::frame::control::write_ws_header(payload.len(), &mut out);
        out[0] = first;
        out[1] |= 0x80;
        let mask = [1, 2, 3, 4];
        out.extend_from_slice(&mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        out
    }

    fn all(bytes: &[u8], step: usize, max: usize) -> Result<Vec<Incoming>, Code> {
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        for piece in bytes.chunks(step.max(1)) {
            decoder.feed(piece);
            while let Some(incoming) = decoder.next(max).map_err(|refusal| refusal.code)? {
                out.push(incoming);
            }
            assert!(decoder.buffer.len() <= max + 14 + step, "the decoder keeps no more than a frame");
        }
        Ok(out)
    }

    proptest! {
        #[test]
        fn any_pieces_give_the_same(texts in prop::collection::vec(".{0,200}", 0..5), step in 1_usize..50) {
            let bytes: Vec<u8> = texts.iter().flat_map(|text| frame(0x81, text.as_bytes())).collect();
            let expected: Vec<_> = texts.into_iter().map(Incoming::Text).collect();
            prop_assert_eq!(all(&bytes, step, 10_000), Ok(expected));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, step in 1_usize..50) {
            let _ = all(&bytes, step, 1_000);
        }
    }

    #[test]
    fn fragments_with_a_ping_between() {
        let bytes = [frame(0x01, "hé".as_bytes()), frame(0x89, b"p"), frame(0x00, b"l"), frame(0x80, b"lo")].concat();
        let expected = vec![Incoming::Ping(b"p".to_vec()), Incoming::Text("héllo".into())];
        assert_eq!(all(&bytes, 1, 100), Ok(expected));
    }

    #[test]
    fn what_is_refused() {
        let unmasked = vec![0x81, 1, b'a'];
        let huge = [&[0x81, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
        let cases = [
            ("unmasked", unmasked, Code::FrameMalformed),
            ("reserved bits", frame(0xc1, b""), Code::FrameMalformed),
            ("unknown opcode", frame(0x83, b""), Code::FrameMalformed),
            ("binary", frame(0x82, b"x"), Code::FrameBinary),
            ("bad UTF-8", frame(0x81, &[0xff]), Code::FrameMalformed),
            ("long ping", frame(0x89, &[0; 126]), Code::FrameMalformed),
            ("fragmented ping", frame(0x09, b""), Code::FrameMalformed),
            ("continuation of nothing", frame(0x80, b"x"), Code::FrameMalformed),
            ("text in text", [frame(0x01, b"a"), frame(0x81, b"b")].concat(), Code::FrameMalformed),
            ("half a close code", frame(0x88, &[3]), Code::FrameMalformed),
            ("announced too large", huge, Code::FrameTooLarge),
            ("too large", frame(0x81, &[b'a'; 101]), Code::FrameTooLarge),
            ("fragments too large", [frame(0x01, &[b'a'; 60]), frame(0x80, &[b'a'; 60])].concat(), Code::FrameTooLarge),
        ];
        for (name, bytes, code) in cases {
            for step in [1, 7, 1_000] {
                assert_eq!(all(&bytes, step, 100), Err(code), "{name}");
            }
        }
    }

    #[test]
    fn nothing_is_kept_when_nothing_is_incomplete() {
        let mut decoder = Decoder::default();
        decoder.feed(&frame(0x81, b"x"));
        assert!(decoder.next(100).unwrap().is_some());
        assert!(decoder.next(100).unwrap().is_none());
        assert_eq!(decoder.buffer.capacity(), 0);
    }
}
