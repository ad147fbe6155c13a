//! Reads EDN text.

use super::value::Edn;

/// How deep values may be nested; a history's are four or so.
const MAX_DEPTH: u32 = 64;

/// What is wrong, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EdnFault {
    pub(super) at: usize,
    pub(super) reason: String,
}

/// Reads one value after the other.
pub(super) struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next value and where it begins; none at the end.
    pub(super) fn next_value(&mut self) -> Result<Option<(usize, Edn)>, EdnFault> {
        self.blanks()?;
        if self.at == self.text.len() {
            return Ok(None);
        }
        let start = self.at;
        Ok(Some((start, self.value(0)?)))
    }

    /// Enters the list or vector that begins here, if one does: its elements then come one by one.
    pub(super) fn enter(&mut self) -> Result<bool, EdnFault> {
        self.blanks()?;
        let is_list = matches!(self.peek(), Some(b'[' | b'('));
        self.at += usize::from(is_list);
        Ok(is_list)
    }

    /// Leaves the list that was entered, if it ends here.
    pub(super) fn leave(&mut self) -> Result<bool, EdnFault> {
        self.blanks()?;
        let ends = matches!(self.peek(), Some(b']' | b')'));
        self.at += usize::from(ends);
        Ok(ends)
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    fn fault<T>(&self, reason: impl Into<String>) -> Result<T, EdnFault> {
        Err(EdnFault {
            at: self.at,
            reason: reason.into(),
        })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips blanks, commas, comments and discarded values.
    fn blanks(&mut self) -> Result<(), EdnFault> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | 0x0c) => self.at += 1,
                Some(b';') => {
                    let rest = &self.text.as_bytes()[self.at..];
                    self.at += rest
                        .iter()
                        .position(|byte| *byte == b'\n')
                        .unwrap_or(rest.len());
                }
                Some(b'#') if self.text[self.at..].starts_with("#_") => {
                    self.at += 2;
                    self.blanks_before_value()?;
                    self.value(0)?;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Blanks within a value: a run of discards is no deeper than the values that it discards.
    fn blanks_before_value(&mut self) -> Result<(), EdnFault> {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n' | b',')) {
            self.at += 1;
        }
        if self.text[self.at..].starts_with("#_") {
            return self.fault("a discarded value that is discarded itself is not read");
        }
        Ok(())
    }

    fn value(&mut self, depth: u32) -> Result<Edn, EdnFault> {
        if depth > MAX_DEPTH {
            return self.fault(format!("values are nested more than {MAX_DEPTH} deep"));
        }
        match self.peek() {
            None => self.fault("the text ends where a value should begin"),
            Some(b'[') => self.elements(b']', depth).map(Edn::List),
            Some(b'(') => self.elements(b')', depth).map(Edn::List),
            Some(b'{') => self.map(depth),
            Some(b'"') => self.string(),
            Some(b'\\') => {
                self.at += 1;
                let start = self.at;
                self.at += self.text[start..].chars().next().map_or(0, char::len_utf8);
                self.token();
                Ok(Edn::Other(format!("\\{}", &self.text[start..self.at])))
            }
            Some(b'#') => self.dispatch(depth),
            Some(b']' | b')' | b'}') => self.fault("nothing is open that this could close"),
            Some(_) => self.atom(),
        }
    }

    /// Sets, tagged values, the numbers that are none.
    fn dispatch(&mut self, depth: u32) -> Result<Edn, EdnFault> {
        self.at += 1;
        match self.peek() {
            Some(b'{') => self.elements(b'}', depth).map(Edn::List),
            Some(b'#') => {
                self.at += 1;
                Ok(Edn::Other(self.token().to_owned()))
            }
            _ => {
                // A record such as #jepsen.history.Op{...} is what it holds.
                if self.token().is_empty() {
                    return self.fault("expected a set, a tag or #_ here");
                }
                self.blanks()?;
                self.value(depth + 1)
            }
        }
    }

    fn elements(&mut self, end: u8, depth: u32) -> Result<Vec<Edn>, EdnFault> {
        let start = self.at;
        self.at += 1;
        let mut elements = Vec::new();
        loop {
            self.blanks()?;
            match self.peek() {
                Some(byte) if byte == end => {
                    self.at += 1;
                    return Ok(elements);
                }
                None => {
                    self.at = start;
                    return self.fault("this is not closed");
                }
                _ => elements.push(self.value(depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: u32) -> Result<Edn, EdnFault> {
        let start = self.at;
        let elements = self.elements(b'}', depth)?;
        if elements.len() % 2 == 1 {
            self.at = start;
            return self.fault("this map has a key without a value");
        }
        let mut fields = Vec::with_capacity(elements.len() / 2);
        let mut elements = elements.into_iter();
        while let (Some(key), Some(value)) = (elements.next(), elements.next()) {
            fields.push((key, value));
        }
        Ok(Edn::Map(fields))
    }

    fn string(&mut self) -> Result<Edn, EdnFault> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(next) = self.text[self.at..].chars().next() else {
                self.at = start;
                return self.fault("this string is not closed");
            };
            self.at += next.len_utf8();
            match next {
                '"' => return Ok(Edn::Text(text)),
                '\\' => text.push(self.escape()?),
                other => text.push(other),
            }
        }
    }

    fn escape(&mut self) -> Result<char, EdnFault> {
        let escaped = self.peek();
        self.at += usize::from(escaped.is_some_and(|byte| byte.is_ascii()));
        match escaped {
            Some(b'n') => Ok('\n'),
            Some(b't') => Ok('\t'),
            Some(b'r') => Ok('\r'),
            Some(b'b') => Ok('\u{8}'),
            Some(b'f') => Ok('\u{c}'),
            Some(b'"') => Ok('"'),
            Some(b'\\') => Ok('\\'),
            Some(b'/') => Ok('/'),
            Some(b'u') => {
                let digits = self.text.get(self.at..self.at + 4);
                let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
                self.at += 4 * usize::from(code.is_some());
                // Halves of surrogate pairs have no character.
                code.map(|code| char::from_u32(code).unwrap_or('\u{fffd}'))
                    .map_or_else(|| self.fault("\\u needs four hexadecimal digits"), Ok)
            }
            _ => self.fault("no such escape"),
        }
    }

    /// Everything up to the next delimiter.
    fn token(&mut self) -> &'a str {
        let start = self.at;
        let is_end = |byte: &u8| {
            matches!(
                byte,
                b' ' | b'\t' | b'\r' | b'\n' | b',' | 0x0c | b'"' | b';' | b'\\'
            ) || matches!(byte, b'(' | b')' | b'[' | b']' | b'{' | b'}')
        };
        let rest = &self.text.as_bytes()[start..];
        self.at += rest.iter().position(is_end).unwrap_or(rest.len());
        &self.text[start..self.at]
    }

    fn atom(&mut self) -> Result<Edn, EdnFault> {
        let token = self.token();
        if token.is_empty() {
            return self.fault("this character begins no value");
        }
        if let Some(keyword) = token.strip_prefix(':') {
            return Ok(Edn::Keyword(keyword.to_owned()));
        }
        let whole = token.strip_suffix('N').unwrap_or(token);
        Ok(match token {
            "nil" => Edn::Nil,
            "true" => Edn::Boolean(true),
            "false" => Edn::Boolean(false),
            _ => match (whole.parse(), token.trim_end_matches('M').parse::<f64>()) {
                (Ok(number), _) => Edn::Integer(number),
                (_, Ok(number))
                    if token.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) =>
                {
                    Edn::Float(number)
                }
                _ => Edn::Other(token.to_owned()),
            },
        })
    }
}
