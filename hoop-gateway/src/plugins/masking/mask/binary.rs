//! Binary forms: arrays, records, and values of types that nobody here knows.

use bytes::Bytes;
use hoop_core::Format;

use super::super::types::shape;
use super::{Masked, Masker};

/// How deep arrays and records are followed into each other.
const MAX_DEPTH: u32 = 8;

impl Masker {
    /// Masks a binary value by what it is: an array or a record whose lengths all fit, or a text. Of anything else that a
    /// detector finds something in, nothing is shown.
    pub(super) fn binary(&self, value: &[u8], depth: u32) -> Masked {
        if depth < MAX_DEPTH
            && let Some(masked) = self.array(value, depth).or_else(|| self.record(value, depth))
        {
            return masked;
        }
        match self.text(value) {
            Masked::As(_) if value.contains(&0) => Masked::As(None),
            masked => masked,
        }
    }

    fn element(&self, value: &[u8], type_oid: u32, depth: u32) -> Masked {
        match shape(type_oid) {
            super::Shape::Other => self.binary(value, depth + 1),
            shape => self.value(value, shape, type_oid, Format::Binary),
        }
    }

    /// Dimensions, whether there are NULLs, the type; length and lower bound of each dimension; then the elements.
    fn array(&self, value: &[u8], depth: u32) -> Option<Masked> {
        let mut read = Reader(value);
        let (dimensions, nulls, type_oid) = (read.int()?, read.int()?, read.int()?);
        if !(1..=6).contains(&dimensions) || !(0..=1).contains(&nulls) {
            return None;
        }
        let mut count = 1_i64;
        for _ in 0..dimensions {
            count = count.checked_mul(i64::from(read.int()?))?;
            read.int()?;
        }
        if count > i64::try_from(read.0.len() / 4).ok()? {
            return None;
        }
        let head = value.get(..value.len() - read.0.len())?;
        let mut out = head.to_vec();
        let mut same = true;
        for _ in 0..count {
            let element = read.value()?;
            same &= self.write(element, u32::try_from(type_oid).ok()?, depth, &mut out);
        }
        // With a NULL among the elements, the header must say so.
        if !same && let Some(flag) = out.get_mut(7) {
            *flag = 1;
        }
        finish(read, same, out)
    }

    /// The number of fields; for each its type and its value.
    fn record(&self, value: &[u8], depth: u32) -> Option<Masked> {
        let mut read = Reader(value);
        let count = read.int()?;
        if !(1..=1664).contains(&count) {
            return None;
        }
        let mut out = count.to_be_bytes().to_vec();
        let mut same = true;
        for _ in 0..count {
            let type_oid = u32::try_from(read.int()?).ok()?;
            let field = read.value()?;
            out.extend_from_slice(&type_oid.to_be_bytes());
            same &= self.write(field, type_oid, depth, &mut out);
        }
        finish(read, same, out)
    }

    /// Writes an element as it is shown; whether it is shown as it is.
    fn write(&self, element: Option<&[u8]>, type_oid: u32, depth: u32, out: &mut Vec<u8>) -> bool {
        let masked = element.map_or(Masked::Same, |element| self.element(element, type_oid, depth));
        let shown: Option<&[u8]> = match &masked {
            Masked::Same => element,
            Masked::As(shown) => shown.as_deref(),
        };
        let len = shown.map_or(-1, |shown| i32::try_from(shown.len()).unwrap_or(-1));
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(shown.filter(|_| len >= 0).unwrap_or_default());
        masked == Masked::Same
    }
}

fn finish(read: Reader<'_>, same: bool, out: Vec<u8>) -> Option<Masked> {
    if !read.0.is_empty() {
        return None;
    }
    Some(if same { Masked::Same } else { Masked::As(Some(Bytes::from(out))) })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn int(&mut self) -> Option<i32> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i32::from_be_bytes(*head))
    }

    /// A length and that many bytes; no bytes for NULL.
    fn value(&mut self) -> Option<Option<&'a [u8]>> {
        let len = self.int()?;
        if len == -1 {
            return Some(None);
        }
        let (head, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(Some(head))
    }
}

/// The digits of a positive whole number of type `numeric`, at most 20 of them.
pub(super) fn numeric_digits(value: &[u8]) -> Option<Vec<u8>> {
    let (head, groups) = value.split_first_chunk::<8>()?;
    let [_, _, weight_high, weight_low, sign_high, sign_low, ..] = *head;
    let weight = usize::try_from(i16::from_be_bytes([weight_high, weight_low])).ok()?;
    let groups = groups.as_chunks::<2>().0;
    if [sign_high, sign_low] != [0, 0] || weight > 4 || groups.len() > weight + 1 {
        return None;
    }
    let mut number = 0_u128;
    for place in 0..=weight {
        number = number * 10_000 + u128::from(groups.get(place).map_or(0, |group| u16::from_be_bytes(*group)));
    }
    Some(number.to_string().into())
}
