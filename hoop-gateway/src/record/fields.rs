//! The fields of a payload: `tag, length (LEB128), bytes`.

/// A payload that is not what its kind says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payload is malformed")]
pub struct Malformed;

/// A value that a field can hold.
pub(super) trait Field: Default {
    fn put(&self, tag: u8, out: &mut Vec<u8>);
    fn read(&mut self, bytes: &[u8]) -> Result<(), Malformed>;
}

pub(super) fn put(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).expect("seven bits"));
    out.extend_from_slice(bytes);
}

/// Cuts the first field off.
pub(super) fn next<'a>(bytes: &mut &'a [u8]) -> Result<Option<(u8, &'a [u8])>, Malformed> {
    let Some((&tag, mut rest)) = bytes.split_first() else { return Ok(None) };
    let mut length = 0usize;
    for shift in (0..28).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or(Malformed)?;
        rest = after;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let (value, after) = rest.split_at_checked(length).ok_or(Malformed)?;
            *bytes = after;
            return Ok(Some((tag, value)));
        }
    }
    Err(Malformed)
}

impl Field for u64 {
    fn put(&self, tag: u8, out: &mut Vec<u8>) {
        if *self != 0 {
            let bytes = self.to_le_bytes();
            let used = 8 - self.leading_zeros() as usize / 8;
            put(tag, &bytes[..used], out);
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut whole = [0; 8];
        whole.get_mut(..bytes.len()).ok_or(Malformed)?.copy_from_slice(bytes);
        *self = Self::from_le_bytes(whole);
        Ok(())
    }
}

impl Field for Option<u64> {
    fn put(&self, tag: u8, out: &mut Vec<u8>) {
        match self {
            Some(0) => put(tag, &[], out),
            Some(number) => number.put(tag, out),
            None => {}
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.insert(0).read(bytes)
    }
}

impl Field for bool {
    fn put(&self, tag: u8, out: &mut Vec<u8>) {
        u64::from(*self).put(tag, out);
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        *self = bytes == [1];
        Ok(())
    }
}

impl Field for String {
    fn put(&self, tag: u8, out: &mut Vec<u8>) {
        if !self.is_empty() {
            put(tag, self.as_bytes(), out);
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        *self = String::from_utf8(bytes.to_vec()).map_err(|_| Malformed)?;
        Ok(())
    }
}

impl<T: Item> Field for Vec<T> {
    fn put(&self, tag: u8, out: &mut Vec<u8>) {
        for item in self {
            item.put_item(tag, out);
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.push(T::read_item(bytes)?);
        Ok(())
    }
}

impl<T: Item> Field for Option<T> {
    fn put(&self, tag: u8, out: &mut Vec<u8>) {
        if let Some(item) = self {
            item.put_item(tag, out);
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        *self = Some(T::read_item(bytes)?);
        Ok(())
    }
}

/// An element of a list; unlike a field, an empty one is written.
pub(super) trait Item: Sized {
    fn put_item(&self, tag: u8, out: &mut Vec<u8>);
    fn read_item(bytes: &[u8]) -> Result<Self, Malformed>;
}

impl Item for String {
    fn put_item(&self, tag: u8, out: &mut Vec<u8>) {
        put(tag, self.as_bytes(), out);
    }

    fn read_item(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::from_utf8(bytes.to_vec()).map_err(|_| Malformed)
    }
}
