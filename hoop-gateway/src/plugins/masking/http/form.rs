//! `application/x-www-form-urlencoded`.

use hoop_proto::http::reading::{Coding, Reading};
use memchr::memchr;

use super::flow::{Flow, WINDOW};
use super::rules::FieldMask;
use super::search::{Search, Unreadable};
use super::text::End;

#[derive(Debug, Default)]
pub(super) struct Form(Flow);

impl Form {
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        end: End,
        search: Search<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unreadable> {
        let mut rest = bytes;
        while let Some(next) = memchr(b'&', rest) {
            self.add(rest.get(..next).unwrap_or_default(), search, out)?;
            self.pair(search, out)?;
            out.push(b'&');
            rest = rest.get(next + 1..).unwrap_or_default();
        }
        self.add(rest, search, out)?;
        if end == End::Whole { self.pair(search, out) } else { Ok(()) }
    }

    fn add(&mut self, bytes: &[u8], search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        if !search.fields.forms.is_empty() && self.0.raw().len() + bytes.len() >= WINDOW {
            return Err(Unreadable("it has a field of a form that is too long for its rules"));
        }
        self.0.push(bytes, Coding::Form, search, out)
    }

    fn pair(&mut self, search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let raw = self.0.raw();
        let equals = memchr(b'=', raw).unwrap_or(raw.len());
        let (name, value) = raw.split_at(equals);
        let Some(mask) = rule(&decoded(name), search) else {
            return self.0.finish(search, out);
        };
        out.extend_from_slice(name);
        let value = decoded(value.get(1..).unwrap_or_default());
        if equals < raw.len() {
            out.push(b'=');
            Coding::Form.write(&search.whole(&value, mask).unwrap_or_default(), out);
        }
        self.0 = Flow::default();
        Ok(())
    }
}

fn decoded(raw: &[u8]) -> Vec<u8> {
    let mut reading = Reading::default();
    reading.read(raw, 0, Coding::Form, true);
    reading.text().to_vec()
}

/// The rule for a field of this name.
pub(super) fn rule<'a>(name: &[u8], search: Search<'a>) -> Option<&'a FieldMask> {
    let name = String::from_utf8_lossy(name).to_lowercase();
    search.fields.forms.iter().find(|(of, _)| *of == name).map(|(_, mask)| mask)
}
