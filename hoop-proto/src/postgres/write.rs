//! Writing frames.

use bytes::{BufMut, BytesMut};

/// Appends a frame: the type, the length, and the body that `body` appends.
pub fn write_frame(out: &mut BytesMut, tag: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    let start = out.len();
    out.put_u32(0);
    body(out);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// Appends a string and its terminating zero. A zero inside would end it early, so it is left out.
pub(crate) fn put_string(out: &mut BytesMut, text: &[u8]) {
    if memchr::memchr(0, text).is_none() {
        out.put_slice(text);
    } else {
        out.extend(text.iter().copied().filter(|byte| *byte != 0));
    }
    out.put_u8(0);
}
