//! Values as numbers: equal values have equal numbers, so that comparing and hashing cost nothing.

use std::fmt;

use serde_json::{Map, Number, Value};

/// A value: null, a small whole number in itself, or a place in a table of [`Values`]. Equal values of one
/// table are equal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Datum(u64);

/// The two highest bits say what it is.
const TAG_SHIFT: u32 = 62;
const INTEGER: u64 = 0;
const LIST: u64 = 1;
const OBJECT: u64 = 2;
const SCALAR: u64 = 3;

impl Datum {
    /// JSON's null.
    pub const NULL: Self = Self(u64::MAX);

    /// A whole number from 0 to 2^62 - 1.
    pub const fn integer(number: u64) -> Option<Self> {
        if number >> TAG_SHIFT == INTEGER {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number, if it is one of those.
    pub const fn as_integer(self) -> Option<u64> {
        if self.0 >> TAG_SHIFT == INTEGER {
            Some(self.0)
        } else {
            None
        }
    }

    /// Whether it is null.
    pub const fn is_null(self) -> bool {
        self.0 == Self::NULL.0
    }

    /// Equal for equal values of one table, and for nothing else.
    pub const fn bits(self) -> u64 {
        self.0
    }

    const fn place(tag: u64, place: usize) -> Self {
        Self(tag << TAG_SHIFT | place as u64)
    }

    const fn tag(self) -> u64 {
        self.0 >> TAG_SHIFT
    }

    const fn index(self) -> usize {
        (self.0 & ((1 << TAG_SHIFT) - 1)) as usize
    }
}

impl Default for Datum {
    fn default() -> Self {
        Self::NULL
    }
}

impl fmt::Debug for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_null(), self.as_integer()) {
            (true, _) => f.write_str("null"),
            (_, Some(number)) => write!(f, "{number}"),
            _ => write!(f, "#{:x}", self.0),
        }
    }
}

/// The values that are no small numbers, each once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    /// The elements of all lists and objects (key, value, key, value, ...), one after the other.
    elements: Vec<Datum>,
    lists: Places,
    objects: Places,
    scalars: Vec<Value>,
    scalar_places: Slots,
}

/// Runs of elements: where each begins; it ends where the next of either kind begins.
#[derive(Clone, Debug, Default, PartialEq)]
struct Places {
    runs: Vec<(u32, u32)>,
    slots: Slots,
}

/// An open-addressing table of places.
#[derive(Clone, Debug, Default, PartialEq)]
struct Slots {
    slots: Vec<u32>,
    used: usize,
}

impl Slots {
    /// The place that `is_it`, or none and room for a new one of that hash.
    fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at] != 0 {
            let place = self.slots[at] - 1;
            if is_it(place) {
                return Some(place);
            }
            at = (at + 1) & mask;
        }
        None
    }

    fn insert(&mut self, hash: u64, place: u32, hash_of: impl Fn(u32) -> u64) {
        if self.used * 2 >= self.slots.len() {
            let grown = (self.slots.len() * 2).max(16);
            let old = std::mem::replace(&mut self.slots, vec![0; grown]);
            for slot in old.into_iter().filter(|slot| *slot != 0) {
                self.place(hash_of(slot - 1), slot - 1);
            }
        }
        self.place(hash, place);
        self.used += 1;
    }

    fn place(&mut self, hash: u64, place: u32) {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = place + 1;
    }
}

fn hash_of(elements: &[Datum]) -> u64 {
    let mut hash = elements.len() as u64;
    for element in elements {
        hash = (hash.rotate_left(23) ^ element.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    hash ^ (hash >> 29)
}

impl Places {
    fn intern(&mut self, elements: &mut Vec<Datum>, run: &[Datum]) -> usize {
        let hash = hash_of(run);
        let runs = &self.runs;
        let of = |place: u32| {
            let (start, length) = runs[place as usize];
            &elements[start as usize..][..length as usize]
        };
        if let Some(place) = self.slots.find(hash, |place| of(place) == run) {
            return place as usize;
        }
        let start = u32::try_from(elements.len()).expect("a history has less than 2^32 elements");
        let place = self.runs.len();
        elements.extend_from_slice(run);
        self.runs.push((start, run.len() as u32));
        let (runs, elements) = (&self.runs, &*elements);
        self.slots.insert(hash, place as u32, |place| {
            let (start, length) = runs[place as usize];
            hash_of(&elements[start as usize..][..length as usize])
        });
        place
    }
}

fn hash_text(text: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}

impl Values {
    /// The number of a value.
    pub fn intern(&mut self, value: &Value) -> Datum {
        match value {
            Value::Null => Datum::NULL,
            Value::Number(number) => match number.as_u64().and_then(Datum::integer) {
                Some(datum) => datum,
                None => self.scalar(value),
            },
            Value::Array(elements) => {
                let run: Vec<Datum> = elements
                    .iter()
                    .map(|element| self.intern(element))
                    .collect();
                self.list(&run)
            }
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_unstable_by_key(|(name, _)| *name);
                let mut run = Vec::with_capacity(2 * fields.len());
                for (name, value) in fields {
                    run.push(self.text(name));
                    run.push(self.intern(value));
                }
                Datum::place(OBJECT, self.objects.intern(&mut self.elements, &run))
            }
            Value::Bool(_) | Value::String(_) => self.scalar(value),
        }
    }

    /// The number of a list of values.
    pub fn list(&mut self, run: &[Datum]) -> Datum {
        Datum::place(LIST, self.lists.intern(&mut self.elements, run))
    }

    /// The number of a text.
    pub fn text(&mut self, text: &str) -> Datum {
        let hash = hash_text(text);
        let scalars = &self.scalars;
        let is_it = |place: u32| scalars[place as usize].as_str() == Some(text);
        match self.scalar_places.find(hash, is_it) {
            Some(place) => Datum::place(SCALAR, place as usize),
            None => self.push_scalar(hash, Value::String(text.to_owned())),
        }
    }

    fn scalar(&mut self, value: &Value) -> Datum {
        let hash = scalar_hash(value);
        let scalars = &self.scalars;
        match self
            .scalar_places
            .find(hash, |place| &scalars[place as usize] == value)
        {
            Some(place) => Datum::place(SCALAR, place as usize),
            None => self.push_scalar(hash, value.clone()),
        }
    }

    fn push_scalar(&mut self, hash: u64, value: Value) -> Datum {
        let place = self.scalars.len();
        self.scalars.push(value);
        let scalars = &self.scalars;
        self.scalar_places.insert(hash, place as u32, |place| {
            scalar_hash(&scalars[place as usize])
        });
        Datum::place(SCALAR, place)
    }

    /// The elements of a list; none if it is no list.
    pub fn elements(&self, datum: Datum) -> Option<&[Datum]> {
        if datum.tag() != LIST {
            return None;
        }
        let (start, length) = *self.lists.runs.get(datum.index())?;
        Some(&self.elements[start as usize..][..length as usize])
    }

    /// The elements of a list of two.
    pub fn pair(&self, datum: Datum) -> Option<[Datum; 2]> {
        self.elements(datum)?.try_into().ok()
    }

    /// The fields of an object in the order of their names; none if it is none.
    pub fn fields(&self, datum: Datum) -> Option<impl Iterator<Item = (&str, Datum)>> {
        let names = self.names(datum)?;
        Some(names.map(|(name, value)| (self.as_text(name).unwrap_or(""), value)))
    }

    /// The fields of an object, each name as the value that it is.
    pub fn names(&self, datum: Datum) -> Option<impl Iterator<Item = (Datum, Datum)>> {
        if datum.is_null() || datum.tag() != OBJECT {
            return None;
        }
        let (start, length) = *self.objects.runs.get(datum.index())?;
        let run = &self.elements[start as usize..][..length as usize];
        Some(run.chunks_exact(2).map(|field| (field[0], field[1])))
    }

    /// The field of an object.
    pub fn field(&self, datum: Datum, name: &str) -> Option<Datum> {
        self.fields(datum)?
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value)
    }

    /// The text, if it is one.
    pub fn as_text(&self, datum: Datum) -> Option<&str> {
        self.as_scalar(datum)?.as_str()
    }

    /// The number, if it is a whole one of 64 bits.
    pub fn as_number(&self, datum: Datum) -> Option<i64> {
        match datum.as_integer() {
            Some(number) => i64::try_from(number).ok(),
            None => self.as_scalar(datum)?.as_i64(),
        }
    }

    fn as_scalar(&self, datum: Datum) -> Option<&Value> {
        if datum.is_null() || datum.tag() != SCALAR {
            return None;
        }
        self.scalars.get(datum.index())
    }

    /// The value itself.
    pub fn value(&self, datum: Datum) -> Value {
        if let Some(number) = datum.as_integer() {
            return Value::Number(Number::from(number));
        }
        if let Some(elements) = self.elements(datum) {
            return Value::Array(
                elements
                    .iter()
                    .map(|element| self.value(*element))
                    .collect(),
            );
        }
        if let Some(fields) = self.fields(datum) {
            let fields: Map<String, Value> = fields
                .map(|(name, value)| (name.to_owned(), self.value(value)))
                .collect();
            return Value::Object(fields);
        }
        self.as_scalar(datum).cloned().unwrap_or(Value::Null)
    }
}

fn scalar_hash(value: &Value) -> u64 {
    match value {
        Value::String(text) => hash_text(text),
        other => hash_text(&other.to_string()),
    }
}
