//! Frames and blocks as bytes: where one ends, and what a client's looks like.

/// A client's frame.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    tambour_actors::frame::control::write_ws_header(payload.len(), &mut frame);
    frame[0] = first;
    frame[1] |= 0x80;
    let mask = [7, 1, 200, 33];
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

pub(crate) fn header_bytes(frame: &[u8]) -> usize {
    match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    }
}

/// The length of the first frame, if it is complete.
pub(crate) fn ws_frame(bytes: &[u8]) -> Option<usize> {
    let header = (bytes.len() >= 2).then(|| header_bytes(bytes)).filter(|header| bytes.len() >= *header)?;
    let payload = match header {
        4 => usize::from(u16::from_be_bytes(*bytes[2..].first_chunk()?)),
        10 => usize::try_from(u64::from_be_bytes(*bytes[2..].first_chunk()?)).ok()?,
        _ => usize::from(bytes[1]),
    };
    (bytes.len() >= header + payload).then_some(header + payload)
}

/// The length of the first block, if it is complete.
pub(crate) fn sse_block(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\n\n").map(|at| at + 2)
}
