//! Reads an operation's line as our own writer and most others make it, in one pass over its bytes. Whatever is
//! not so plain (escapes, fractions, nested values, unknown fields that are no scalars, mistakes) is left to the
//! general reader: this one never says that a line is wrong.

use super::{Datum, LogEvent, Values};
use crate::Kind;

/// Reads an operation's line at the beginning of `bytes`, its end included. Returns how many bytes it has.
pub(super) fn scan<'a>(bytes: &'a [u8], values: &mut Values) -> Option<(LogEvent<'a>, usize)> {
    Scanner { bytes, at: 0 }.line(values)
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The fields that a line has so far.
#[derive(Default)]
struct Fields<'a> {
    time: Option<u64>,
    process: Option<u64>,
    kind: Option<Kind>,
    f: Option<&'a str>,
    key: Option<&'a str>,
    value: Option<Datum>,
    order: Option<u64>,
    observed: Option<Datum>,
    index: Option<u64>,
    intended: Option<u64>,
    is_final: Option<bool>,
}

/// Fills a field that is still empty; a field twice is for the general reader to judge.
fn set<T>(field: &mut Option<T>, value: Option<T>) -> Option<()> {
    if field.is_some() {
        return None;
    }
    *field = Some(value?);
    Some(())
}

impl<'a> Scanner<'a> {
    fn line(mut self, values: &mut Values) -> Option<(LogEvent<'a>, usize)> {
        let mut fields = Fields::default();
        self.expect(b'{')?;
        loop {
            self.blanks();
            let name = self.text_bytes()?;
            self.blanks();
            self.expect(b':')?;
            self.blanks();
            self.field(name, &mut fields, values)?;
            self.blanks();
            match self.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
        self.expect(b'\n')?;
        let event = LogEvent {
            time: fields.time?,
            process: fields.process?,
            kind: fields.kind?,
            f: fields.f?,
            key: fields.key,
            value: fields.value.unwrap_or(Datum::NULL),
            order: fields.order,
            observed: fields.observed,
            index: fields.index,
            is_final: fields.is_final.unwrap_or(false),
        };
        Some((event, self.at))
    }

    fn field(&mut self, name: &[u8], fields: &mut Fields<'a>, values: &mut Values) -> Option<()> {
        match name {
            b"time" => set(&mut fields.time, self.number()),
            b"process" => set(&mut fields.process, self.number()),
            b"type" => {
                let kind = match self.text_bytes()? {
                    b"invoke" => Kind::Invoke,
                    b"ok" => Kind::Ok,
                    b"fail" => Kind::Fail,
                    b"info" => Kind::Info,
                    _ => return None,
                };
                set(&mut fields.kind, Some(kind))
            }
            b"f" => set(&mut fields.f, self.text()),
            b"key" => set(&mut fields.key, self.text()),
            b"value" => set(&mut fields.value, self.value(values)),
            b"order" => set(&mut fields.order, self.number()),
            b"observed" => set(&mut fields.observed, self.value(values)),
            b"index" => set(&mut fields.index, self.number()),
            b"intended" => set(&mut fields.intended, self.number()),
            b"final" => set(&mut fields.is_final, self.boolean()),
            _ => None,
        }
    }

    fn value(&mut self, values: &mut Values) -> Option<Datum> {
        match self.peek()? {
            b'n' => self.word(b"null").map(|()| Datum::NULL),
            b'"' => self.text().map(|text| values.text(text)),
            b'[' => self.list(values),
            _ => self.number().and_then(Datum::integer),
        }
    }

    fn list(&mut self, values: &mut Values) -> Option<Datum> {
        const SHORT: usize = 4;
        self.expect(b'[')?;
        let mut short = [Datum::NULL; SHORT];
        let mut long = Vec::new();
        let mut length = 0;
        self.blanks();
        if self.peek()? == b']' {
            self.at += 1;
            return Some(values.list(&[]));
        }
        loop {
            self.blanks();
            let element = match self.peek()? {
                b'n' => self.word(b"null").map(|()| Datum::NULL)?,
                _ => self.number().and_then(Datum::integer)?,
            };
            if length < SHORT {
                short[length] = element;
            } else {
                if length == SHORT {
                    long.extend_from_slice(&short);
                }
                long.push(element);
            }
            length += 1;
            self.blanks();
            match self.next()? {
                b',' => {}
                b']' => break,
                _ => return None,
            }
        }
        Some(if length <= SHORT {
            values.list(&short[..length])
        } else {
            values.list(&long)
        })
    }

    /// A whole number without sign.
    fn number(&mut self) -> Option<u64> {
        const MOST_DIGITS: usize = 19;
        let start = self.at;
        let mut number = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number
                .wrapping_mul(10)
                .wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        let digits = self.at - start;
        let is_plain = (1..=MOST_DIGITS).contains(&digits)
            && (digits == 1 || self.bytes[start] != b'0')
            && !matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        is_plain.then_some(number)
    }

    fn boolean(&mut self) -> Option<bool> {
        match self.peek()? {
            b't' => self.word(b"true").map(|()| true),
            _ => self.word(b"false").map(|()| false),
        }
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.text_bytes()?).ok()
    }

    /// A string without escapes.
    fn text_bytes(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.next()? {
                b'"' => return Some(&self.bytes[start..self.at - 1]),
                b'\\' | 0..b' ' => return None,
                _ => {}
            }
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.bytes[self.at..]
            .starts_with(word)
            .then(|| self.at += word.len())
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }
}
